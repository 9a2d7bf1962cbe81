"""Simulated guests: real commands on a private tree, pretended packages and services. See `backend`."""
