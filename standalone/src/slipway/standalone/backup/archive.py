"""The file of a backup: a ZIP archive (stored, not compressed) of parts, and a manifest that describes them.

It is written under another name and renamed when it is whole. The manifest is its last member: it holds the
SHA-256 of each part, so that `verify` finds whatever was changed or cut off.
"""

import errno
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slipway.cli.errors import CommandFailed

SUFFIX = ".slipway"
FORMAT = 1
"""Of the archive itself; a higher one is from a newer Slipway."""
MANIFEST = "manifest.json"
PIECE_BYTES = 1024 * 1024


class NoBackup(CommandFailed):
    """The file is not a backup, or not a whole one."""


class Part(BaseModel):
    """One member of the archive."""

    model_config = ConfigDict(frozen=True)
    name: str
    size_bytes: int
    sha256: str


class StreamPart(BaseModel):
    """A stream of the bus: what the server needs beside its snapshot to restore it."""

    model_config = ConfigDict(frozen=True)
    name: str
    described: dict[str, Any]


class Manifest(BaseModel):
    """What a backup holds."""

    format: int = FORMAT
    version: str
    """Of the Slipway that wrote it."""
    created_at: datetime
    installation: str | None = None
    """Its id; None if it is older than ids."""
    schemas: dict[str, str]
    """Schema of the database to its revision."""
    streams: list[StreamPart] = Field(default_factory=list)
    consumers: dict[str, int] = Field(default_factory=dict)
    """Consumer to the sequence that it goes on with: what came later is not in the database yet."""
    keys: dict[str, str] = Field(default_factory=dict)
    """Each key of the ring by id, and a text that only this key opens."""
    left_out: list[str] = Field(default_factory=list)
    """What a restore needs or people may miss, and where it is instead."""
    parts: list[Part] = Field(default_factory=list)


class ArchiveWriter:
    """Writes the parts one after the other."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.parts: list[Part] = []

    @contextmanager
    def part(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """Add a part: the block is given what writes its next bytes."""
        digest, size_bytes = hashlib.sha256(), 0
        with self._archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:

            def write(piece: bytes) -> None:
                nonlocal size_bytes
                member.write(piece)
                digest.update(piece)
                size_bytes += len(piece)

            yield write
        self.parts.append(Part(name=name, size_bytes=size_bytes, sha256=digest.hexdigest()))

    def finish(self, manifest: Manifest) -> None:
        """Add the manifest with all parts."""
        described = manifest.model_copy(update={"parts": self.parts})
        self._archive.writestr(MANIFEST, described.model_dump_json(indent=2))


@contextmanager
def write_archive(path: Path) -> Iterator[ArchiveWriter]:
    """Write an archive that only its owner can read; nothing is left of one that the block gives up.

    Raises:
        CommandFailed: if the file exists, or there is no room for it.
    """
    refuse_existing(path)
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    try:
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                    yield ArchiveWriter(archive)
                file.flush()
                os.fsync(file.fileno())
            verify(draft)
            draft.rename(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            free = shutil.disk_usage(path.parent).free >> 20
            reason = f"the disk of {path.parent} is full ({free} MiB are free): nothing was written"
            raise CommandFailed(reason) from error
        raise


def refuse_existing(path: Path) -> None:
    """Raise unless a file can be made there."""
    if path.exists():
        raise CommandFailed(f"{path} exists; a backup overwrites nothing: choose another name")
    if not path.parent.is_dir():
        raise CommandFailed(f"there is no folder {path.parent}; make it first")


@contextmanager
def open_archive(path: Path) -> Iterator[tuple[zipfile.ZipFile, Manifest]]:
    """Open a backup.

    Raises:
        NoBackup: if it is none, or is not whole.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = Manifest.model_validate_json(archive.read(MANIFEST))
            yield archive, manifest
    except FileNotFoundError as error:
        raise NoBackup(f"there is no file {path}") from error
    except (zipfile.BadZipFile, KeyError, ValidationError) as error:
        raise NoBackup(f"{path} is not a whole backup of Slipway: {error}; nothing was changed") from error


def verify(path: Path) -> Manifest:
    """Read all of a backup and compare it with its manifest.

    Raises:
        NoBackup: names the first part that differs.
    """
    with open_archive(path) as (archive, manifest):
        names = {each.name for each in manifest.parts} | {MANIFEST}
        if (others := set(archive.namelist()) ^ names) or len(archive.namelist()) != len(names):
            raise NoBackup(f"{path} does not hold what its manifest says: {', '.join(sorted(others))}")
        for part in manifest.parts:
            with archive.open(part.name) as member:
                if _digest(member) != (part.size_bytes, part.sha256):
                    raise NoBackup(f"{path} is damaged: {part.name} is not what was written")
    return manifest


def pieces(archive: zipfile.ZipFile, name: str, piece_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
    """Read a part piece by piece."""
    with archive.open(name) as member:
        while piece := member.read(piece_bytes):
            yield piece


def _digest(member: IO[bytes]) -> tuple[int, str]:
    digest, size_bytes = hashlib.sha256(), 0
    while piece := member.read(PIECE_BYTES):
        digest.update(piece)
        size_bytes += len(piece)
    return size_bytes, digest.hexdigest()
