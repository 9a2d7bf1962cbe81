"""`slipway service`: Slipway as a service of systemd."""
