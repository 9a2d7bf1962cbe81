"""How every Slipway service runs: settings, logs, bus, outbox, vault, database, health, metrics."""
