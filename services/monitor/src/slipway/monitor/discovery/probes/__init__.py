"""Probes of a guest: each probe is `command()`, a piece of POSIX sh, and `parse(output)`, pure."""
