"""A Proxmox VE node to try Slipway on: HTTPS API, SSH and pct over real or simulated guests."""
