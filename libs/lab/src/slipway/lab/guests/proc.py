"""What the host's `/proc` and file system say of a guest; both backends share this."""

import contextlib
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

NAMESPACES_SECONDS = 1.0


def uptime_seconds(pid: int) -> float:
    """Return how long a process has run."""
    started_ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return max(0.0, uptime - started_ticks / os.sysconf("SC_CLK_TCK"))


def traffic(text: str, *, counts_lo: bool) -> tuple[int, int]:
    """Add up the bytes received and sent by all devices of a `/proc/PID/net/dev`, `lo` only if asked for."""
    received = sent = 0
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        if counts_lo or name.strip() != "lo":
            fields = rest.split()
            received, sent = received + int(fields[0]), sent + int(fields[8])
    return received, sent


def disk_bytes(folders: Iterable[Path]) -> int:
    """Add up the space that the folders' files take."""
    total, todo = 0, [str(folder) for folder in folders]
    while todo:
        with contextlib.suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


class Namespaces:
    """The processes of every pid namespace, from one look at the host's processes for all guests."""

    def __init__(self) -> None:
        self._pids: dict[str, list[int]] = {}
        self._looked_at = -NAMESPACES_SECONDS
        self._lock = threading.Lock()

    def pids_like(self, pid: int) -> list[int]:
        """Return the processes of a process's pid namespace, as of a second ago at most; from any thread."""
        namespace = _namespace(f"/proc/{pid}")
        with self._lock:
            is_old = time.monotonic() - self._looked_at >= NAMESPACES_SECONDS
            if is_old or namespace not in self._pids:
                self._pids = _pids_by_namespace()
                self._looked_at = time.monotonic()
            return self._pids.get(namespace, [])


def _pids_by_namespace() -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    found.setdefault(_namespace(entry.path), []).append(int(entry.name))
    return found


def _namespace(process: str) -> str:
    # pathlib costs four times as much, and there are many.
    return os.readlink(f"{process}/ns/pid")  # noqa: PTH115
