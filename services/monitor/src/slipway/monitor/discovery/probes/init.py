"""Whether a guest has finished starting: what runs before that says little."""

_STARTS = frozenset({"initializing", "starting"})


def command() -> str:
    """Print the state of systemd, if that is its init."""
    return "systemctl is-system-running"


def has_settled(output: str) -> bool:
    """Whether the start is over; a guest without systemd counts as started."""
    return output.strip() not in _STARTS
