"""What Slipway sees: live status of guests, discovery of services, ports and credentials."""
