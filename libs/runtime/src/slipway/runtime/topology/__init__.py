"""Streams, consumers and buckets: declared once, applied by an administrator, verified by services."""
