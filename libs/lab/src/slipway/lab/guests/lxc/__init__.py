"""Real guests: Debian containers with systemd over Debian's own lxc. See `backend`."""
