"""What Slipway knows: clusters, containers, jobs, audit, secrets."""
