"""Telling a human: deliveries leave the durable outbox through a channel, at least once, for up to 24 hours.

`escalator` decides what to try and when to try again; `channels` are the webhook and the e-mail, which raise
ChannelError; `deadline` bounds one delivery as a whole, names and slow servers included; `addresses` resolves a host
once and refuses the addresses that nothing may be sent to; `letter` words the mail. Nothing is imported here.
"""
