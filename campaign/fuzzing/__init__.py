"""Where hostile input arrives, and what it looks like: the doors of `campaign.fuzz`. It needs hypothesis."""
