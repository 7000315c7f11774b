"""Chores: checkpoints, retention, the outbox. One thread of the supervisor, on a connection of its own.

Why it is so: a slow disk or a dead webhook may hold up a chore for as long as it likes; the supervisor's loop goes on.
"""
