"""Fixtures that every kind of test may ask for: a real nats-server, a real PostgreSQL."""

pytest_plugins = ("support.nats", "support.postgres")
