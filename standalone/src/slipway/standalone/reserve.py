"""A reserve of disk space: taken while there is enough, given back when the disk is full.

The bus and the database can't even store that something was stopped or deleted without any room; NATS gives
its streams up then. So a file takes some of the disk beforehand, and is removed when the rest is used up.
While it is gone no new job is accepted (`runtime.bus.stream_watch`), so that it is used for what ends things.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from slipway.runtime.process.disk import FULL_BYTES, MIB, free_bytes

BYTES = 64 * MIB
"""Four of the pieces in which PostgreSQL's journal grows."""
GIVE_BACK_BYTES = 16 * MIB
"""With less free the reserve is given back."""
TAKE_BYTES = 2 * BYTES + FULL_BYTES
"""With more free it is taken."""
LOOK_SECONDS = 1.0
_PIECE_BYTES = MIB


class Reserve:
    """The file, in the folder whose disk it is of."""

    def __init__(self, folder: Path, report: Callable[[str], None]) -> None:
        self.path = folder / "reserve"
        self._folder = folder
        self._report = report

    async def keep(self) -> None:
        """Take and give back until cancelled."""
        while True:
            try:
                await self.look()
            except OSError as error:
                self._report(f"the reserve of disk space: {error}")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once whether the reserve has to be taken or given back.

        Raises:
            OSError: if the disk can't be looked at or written.
        """
        free = free_bytes(self._folder)
        if self.path.exists():
            if free < GIVE_BACK_BYTES:
                self.path.unlink()
                self._report(
                    f"the disk of {self._folder} is full: its reserve of {BYTES // MIB} MiB is given back; "
                    "containers can be stopped and deleted, nothing new is begun"
                )
        elif free > TAKE_BYTES:
            await asyncio.to_thread(_fill, self.path)


def _fill(path: Path) -> None:
    """Write a file that takes its size on the disk, also where nothing but zeros would take none."""
    draft = path.with_name(f"{path.name}.new")
    with draft.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, BYTES)
        if os.fstat(file.fileno()).st_blocks * 512 < BYTES:
            for _ in range(BYTES // _PIECE_BYTES):
                file.write(os.urandom(_PIECE_BYTES))
    draft.rename(path)
