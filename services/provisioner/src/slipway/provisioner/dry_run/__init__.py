"""Dry runs: what a job would do, found out without changing anything."""
