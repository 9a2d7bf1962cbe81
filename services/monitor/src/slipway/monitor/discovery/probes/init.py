"""Whether a guest has finished starting: what runs before that says little."""

_STARTS = frozenset({"initializing", "starting"})


COMMAND = "timeout 4 systemctl is-system-running"
"""Print the state of systemd, if that is its init; one that hangs costs four seconds."""


def has_settled(output: str) -> bool:
    """Return whether the start is over; a guest without systemd counts as started."""
    return output.strip() not in _STARTS
