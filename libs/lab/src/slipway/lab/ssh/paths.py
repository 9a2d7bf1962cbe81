"""`realpath` on the pretend host, whose files are the folder `host` of the lab's data; links stay within."""

from collections.abc import Sequence
from pathlib import Path

from slipway.lab.ssh.streams import Streams

FOLDER = "host"
_MOST_LINKS = 40
"""Linux follows as many before it says that there are too many."""


async def realpath(root: Path, arguments: Sequence[str], streams: Streams) -> int:
    """Print where each path ends; 1 if one leads nowhere."""
    paths = [word for word in arguments if word not in ("-e", "--")]
    code = 0
    for path in paths:
        place = follow(root, path)
        if place is None:
            await streams.err(f"realpath: {path}: No such file or directory\n".encode())
            code = 1
        else:
            await streams.out(f"{place}\n".encode())
    return code


def follow(root: Path, path: str) -> str | None:
    """Return where a path of the pretend host ends; None if nothing is there."""
    ahead, place, links = path.split("/"), Path("/"), 0
    while ahead:
        part = ahead.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            place = place.parent
            continue
        there = root / str(place / part).lstrip("/")
        if there.is_symlink():
            links += 1
            target = str(there.readlink())
            place = Path("/") if target.startswith("/") else place
            ahead = target.split("/") + ahead
        elif there.exists():
            place /= part
        else:
            return None
        if links > _MOST_LINKS:
            return None
    return str(place)
