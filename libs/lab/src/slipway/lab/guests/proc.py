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
    total = 0
    for top in folders:
        for folder, _, names in os.walk(top):
            for name in names:
                with contextlib.suppress(OSError):
                    total += Path(folder, name).lstat().st_blocks * 512
    return total
