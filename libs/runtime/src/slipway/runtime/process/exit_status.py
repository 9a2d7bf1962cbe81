"""How a process of Slipway ends, for who has started it."""

BAD_SETTINGS = 2
"""Its settings or its command line have to be corrected; to start it again is no use."""
