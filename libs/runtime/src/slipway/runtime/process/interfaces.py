"""The network interfaces of the machine, or the container, that this process runs in."""

from pathlib import Path

INTERFACES = Path("/sys/class/net")
_NONE = "00:00:00:00:00:00"


def mac_addresses(folder: Path = INTERFACES) -> frozenset[str]:
    """Return the MACs of all interfaces that have one, in capital letters; none where they can't be read."""
    try:
        texts = [(each / "address").read_text(encoding="ascii").strip() for each in folder.iterdir()]
    except OSError:
        return frozenset()
    return frozenset(each.upper() for each in texts if each and each != _NONE)
