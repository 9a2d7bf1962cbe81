"""Probes of a guest: each probe is `COMMAND`, a piece of POSIX sh, and `parse(output)`, pure."""
