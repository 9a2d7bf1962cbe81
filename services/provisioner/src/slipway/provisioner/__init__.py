"""What Slipway does: runs jobs on Proxmox VE hosts, durably."""
