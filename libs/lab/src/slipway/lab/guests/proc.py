"""What the host's `/proc` and file system say of a guest; both backends share this."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path


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


def pids_of_namespace(pid: int) -> list[int]:
    """Return the processes of a process's pid namespace; every process of the host is looked at."""
    namespace = Path(f"/proc/{pid}/ns/pid").readlink().name
    pids: list[int] = []
    with os.scandir("/proc") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                # pathlib costs four times as much, and there are many.
                if entry.name.isdecimal() and os.readlink(f"{entry.path}/ns/pid") == namespace:  # noqa: PTH115
                    pids.append(int(entry.name))
    return pids
