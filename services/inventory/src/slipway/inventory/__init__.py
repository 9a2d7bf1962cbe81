"""The records of Slipway: clusters, containers, jobs, audit, secrets."""
