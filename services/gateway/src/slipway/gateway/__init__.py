"""The HTTP API, the event streams and the web page of Slipway."""
