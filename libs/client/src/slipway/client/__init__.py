"""A typed client of Slipway's HTTP API and event streams."""
