"""A backup of Slipway itself, and the way back."""
