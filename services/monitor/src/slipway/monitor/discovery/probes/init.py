"""Whether a guest has come up: what runs in one that still starts says little."""

_STARTS = frozenset({"initializing", "starting"})


def command() -> str:
    """Say the state of systemd, if that is its init."""
    return "systemctl is-system-running"


def has_settled(output: str) -> bool:
    """Whether it will not come further by itself; a guest without systemd counts as come up."""
    return output.strip() not in _STARTS
