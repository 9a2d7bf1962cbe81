"""A guest's own disk as a tar archive: how snapshots, copies and backups keep it.

Both backends share this. An archive has everything that makes a layer of an overlay: deleted files (devices
with the number 0:0) and folders that hide those below (extended attributes). It is never compressed.
"""

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path

from slipway.lab.guests.protocol import GuestError

SECONDS = 300.0
CHANGED_MEANWHILE = 1
"""What tar ends with when a running guest wrote to a file while it was read."""
HOLDING = ("--numeric-owner", "--xattrs", "--xattrs-include=*", "--warning=no-file-ignored")


async def pack(folder: Path, names: Sequence[str], archive: Path) -> None:
    """Write parts of a folder into an archive, whole or not at all."""
    draft = archive.with_name(f".{archive.name}.draft")
    draft.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        await _tar(["-C", str(folder), *HOLDING, "-cf", str(draft), *names], also=CHANGED_MEANWHILE)
        draft.replace(archive)
    finally:
        draft.unlink(missing_ok=True)


async def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder that exists."""
    await _tar(["-C", str(folder), *HOLDING, "-xpf", str(archive)])


async def _tar(words: Sequence[str], *, also: int = 0) -> None:
    done = await asyncio.to_thread(_run, words)
    if done.returncode not in (0, also):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise GuestError(f"tar failed: {said[-1] if said else 'no message'}")


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603 - fixed words and paths of ours
        ["tar", *words],  # noqa: S607 - the host's own tar
        check=False, capture_output=True, timeout=SECONDS,
    )  # fmt: skip
