"""A guest's own disk as a tar archive: how snapshots, copies and backups keep it.

Both backends share this. An archive has everything that makes a layer of an overlay: deleted files (devices
with the number 0:0) and folders that hide those below (extended attributes). It is never compressed.
"""

from collections.abc import Sequence
from pathlib import Path

from slipway.lab.guests import commands

SECONDS = 300.0
CHANGED_MEANWHILE = 1
"""What tar ends with when a running guest wrote to a file while it was read."""
OPTIONS = ("--numeric-owner", "--xattrs", "--xattrs-include=*", "--warning=no-file-ignored")


async def pack(folder: Path, names: Sequence[str], archive: Path) -> None:
    """Write parts of a folder into an archive, whole or not at all."""
    draft = archive.with_name(f".{archive.name}.draft")
    draft.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    argv = ["tar", "-C", str(folder), *OPTIONS, "-cf", str(draft), *names]
    try:
        await commands.run(argv, timeout_seconds=SECONDS, harmless=CHANGED_MEANWHILE)
        draft.replace(archive)
    finally:
        draft.unlink(missing_ok=True)


async def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder that exists."""
    argv = ["tar", "-C", str(folder), *OPTIONS, "-xpf", str(archive)]
    await commands.run(argv, timeout_seconds=SECONDS)
