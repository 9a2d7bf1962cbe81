"""How Slipway touches a Proxmox VE host: HTTPS API, SSH and pct."""
