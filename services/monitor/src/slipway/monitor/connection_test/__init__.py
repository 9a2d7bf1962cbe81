"""Connection test."""
