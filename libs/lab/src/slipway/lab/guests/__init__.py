"""What stands behind a container of the lab: a real LXC guest, or a simulated one."""
