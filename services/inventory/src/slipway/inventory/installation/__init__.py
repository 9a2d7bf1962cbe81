"""Whether this installation may act: paused after a restore, until the difference was confirmed."""
