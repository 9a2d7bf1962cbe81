"""The log file of one process: it never grows beyond a bound, and a failed write never raises.

What can't be written (the disk is full) is dropped and counted; the count stands in the file as soon as there
is room again. No line is held back for later: a full disk must not become a full memory.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

MOST_BYTES = 20_000_000
"""Of a file, and of the one older file beside it."""


class LogFile:
    """A file that lines are added to."""

    def __init__(
        self, path: Path, *, on_failure: Callable[[str], None], most_bytes: int = MOST_BYTES
    ) -> None:
        self._path = path
        self._on_failure = on_failure
        self._most_bytes = most_bytes
        self._descriptor: int | None = None
        self._size_bytes = 0
        self._dropped = 0
        self._is_torn = False

    def write(self, line: str) -> None:
        """Add a line, or drop it; the first one that is dropped is reported."""
        try:
            if self._dropped:
                self._append(f"({self._dropped} lines could not be written here)")
                self._dropped = 0
            self._append(line)
        except OSError as error:
            self._dropped += 1
            if self._dropped == 1:
                self._on_failure(f"{self._path} can't be written: {error.strerror}")

    def _append(self, line: str) -> None:
        if self._descriptor is not None and self._size_bytes > self._most_bytes:
            os.close(self._descriptor)
            self._descriptor = None
        descriptor = self._open() if self._descriptor is None else self._descriptor
        data = ("\n" if self._is_torn else "").encode() + f"{line}\n".encode(errors="replace")
        written = os.write(descriptor, data)
        self._size_bytes += written
        self._is_torn = written < len(data)
        if self._is_torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _open(self) -> int:
        if self._path.exists() and self._path.stat().st_size > self._most_bytes:
            self._path.replace(self._path.with_suffix(".log.1"))
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._size_bytes = os.fstat(self._descriptor).st_size
        return self._descriptor
