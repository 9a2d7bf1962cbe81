"""The servers that `slipway up` brings along: NATS and PostgreSQL, in one folder, on one machine."""
