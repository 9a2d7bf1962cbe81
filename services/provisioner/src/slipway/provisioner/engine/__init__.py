"""A durable run of steps: claimed, journaled, retried, cancelled, ended once. Knows nothing of Proxmox."""
