"""The SSH side: a root shell that knows `pct`."""
