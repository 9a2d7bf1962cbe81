"""The HTTP API: translate requests to queries, and answers to JSON."""
