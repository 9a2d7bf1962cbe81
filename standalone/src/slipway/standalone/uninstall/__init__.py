"""`slipway uninstall`: away from this machine, and from every Proxmox that it was connected to."""
