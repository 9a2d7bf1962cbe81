"""The safety copy: what a migration can change, as it was before, until the migration has succeeded.

Theory of operation. The copies lie beside the originals, on the same disk, so that putting one back is a
rename. The mark (`DATA/upgrade-unfinished`) is written when all of them are whole and on disk, and removed
when the new build's data is good (`settle`). So with a mark the data may be half migrated and the copies are
whole; without one the data is good and copies are rubbish. Whoever finds a mark puts the copies back.

Guarantees. Killed at any moment, the data folder goes on as it was before the upgrade, or after it; nothing
that acts on a host runs in between, so that to put it back loses nothing.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from slipway.cli.errors import CommandFailed
from slipway.standalone.folders import DataFolder, write_whole

PARTS = ("postgres", "nats", "secrets", "identities")
"""Of the data folder. `services` is written anew by each start."""
SUFFIX = ".before-upgrade"
COPY_SECONDS = 1800
_MIB = 1024 * 1024


class SafetyCopy:
    """The copies of one data folder, which the caller has locked, and on which no server runs."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder

    @property
    def is_needed(self) -> bool:
        """Whether the data may be half migrated."""
        return self._folder.upgrading.exists()

    def size_bytes(self) -> int:
        """Return how much there is to copy."""
        files = (file for part, _ in self._parts() if part.is_dir() for file in part.rglob("*"))
        return sum(file.lstat().st_size for file in files if file.is_file())

    def free_bytes(self) -> int:
        """Return how much the disk has free for it."""
        return min(shutil.disk_usage(part.parent).free for part, _ in self._parts())

    def make(self) -> None:
        """Copy everything, then write the mark.

        Raises:
            CommandFailed: if there is no room, or a file can't be copied; nothing is left of it then.
        """
        self.discard()
        size, free = self.size_bytes(), self.free_bytes()
        if size >= free:
            raise CommandFailed(
                f"the data in {self._folder.path} is of another build, and is copied before it is migrated: "
                f"that takes {size // _MIB} MiB, and {free // _MIB} MiB are free. Make room on that disk"
            )
        try:
            for part, copy in self._parts():
                if part.is_dir():
                    _copy(part, copy)
            os.sync()
        except BaseException:
            self.discard()
            raise
        build = self._folder.build
        before = build.read_text(encoding="utf-8") if build.exists() else None
        write_whole(self._folder.upgrading, json.dumps({"build": before}) + "\n")
        os.sync()

    def put_back(self) -> None:
        """Put the copies in the place of what may be half migrated; one that was killed doing it goes on."""
        before = json.loads(self._folder.upgrading.read_text(encoding="utf-8"))["build"]
        for part, copy in self._parts():
            if copy.exists():
                shutil.rmtree(part, ignore_errors=True)
                copy.rename(part)
        if before is None:
            self._folder.build.unlink(missing_ok=True)
        else:
            write_whole(self._folder.build, before)
        os.sync()
        self._folder.upgrading.unlink()

    def settle(self) -> None:
        """Say that the data is good as it is: remove the mark, then the copies."""
        os.sync()
        self._folder.upgrading.unlink(missing_ok=True)
        self.discard()

    def discard(self) -> None:
        """Remove copies that no mark needs."""
        for _, copy in self._parts():
            shutil.rmtree(copy, ignore_errors=True)

    def _parts(self) -> list[tuple[Path, Path]]:
        """Return each part's real folder, which may be elsewhere, and where its copy is."""
        # Not only those that exist: while one is put back its folder is gone for a moment.
        real = [(self._folder.path / name).resolve() for name in PARTS]
        return [(each, each.with_name(f"{each.name}{SUFFIX}")) for each in real]


def _copy(folder: Path, copy: Path) -> None:
    """Copy a folder with owners, times and rights; on a disk that can share blocks it takes no room."""
    command = ["cp", "-a", "--reflink=auto", "--", str(folder), str(copy)]
    try:
        done = subprocess.run(  # noqa: S603 - the words are our own
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=COPY_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{folder} could not be copied within {COPY_SECONDS // 60} minutes") from error
    if done.returncode != 0:
        raise CommandFailed(f"{folder} can't be copied, so nothing was migrated: {done.stderr.strip()}")
