"""The slipway command: client verbs, and the whole of Slipway on one machine."""
