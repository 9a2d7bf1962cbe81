"""`cat`, `find` and `lsusb` on the pretend host, whose files are the folder `host` of the lab's data."""

from collections.abc import Sequence
from pathlib import Path

from slipway.lab.host import hardware
from slipway.lab.host.machine import Machine
from slipway.lab.ssh import paths
from slipway.lab.ssh.streams import Streams

_MOUNTS = "/proc/self/mounts"
_USAGE = 5
"""Words of `find DIR -maxdepth N -type c`, all that is known of it."""


async def cat(machine: Machine, arguments: Sequence[str], streams: Streams) -> int:
    """Print files one after the other; 1 if one can't be read."""
    code = 0
    for path in arguments:
        content = _content(machine, path)
        if content is None:
            await streams.err(f"cat: {path}: No such file or directory\n".encode())
            code = 1
        else:
            await streams.out(content)
    return code


def _content(machine: Machine, path: str) -> bytes | None:
    root = machine.folder / paths.FOLDER
    place = paths.follow(root, path)
    if place is not None and (there := root / place.lstrip("/")).is_file():
        return there.read_bytes()
    return "".join(f"{line}\n" for line in hardware.mounts(machine)).encode() if path == _MOUNTS else None


async def find(machine: Machine, arguments: Sequence[str], streams: Streams) -> int:
    """List the character devices below a folder."""
    if len(arguments) != _USAGE or arguments[1] != "-maxdepth" or list(arguments[3:]) != ["-type", "c"]:
        await streams.err(b"find: the lab knows only `find DIR -maxdepth N -type c`\n")
        return 1
    start, depth = arguments[0].rstrip("/"), int(arguments[2])
    own = machine.folder / paths.FOLDER / "dev"
    added = (str(each.relative_to(own)) for each in own.rglob("*") if each.is_file())
    devices = {f"/dev/{name}" for name in (*hardware.CHARACTER_DEVICES, *added)}
    below = [each for each in sorted(devices) if _depth(each, start) in range(1, depth + 1)]
    await streams.out("".join(f"{each}\n" for each in below).encode())
    return 0


def _depth(path: str, start: str) -> int:
    """Return how many levels below a folder a path is; 0 if it is not below it."""
    return len(Path(path).relative_to(start).parts) if path.startswith(f"{start}/") else 0


async def lsusb(streams: Streams) -> int:
    """List the USB devices."""
    await streams.out("".join(f"{line}\n" for line in hardware.USB).encode())
    return 0
