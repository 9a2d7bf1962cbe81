"""What processes use, as the kernel counts it: CPU, memory, wake-ups."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_LISTENS = "0A"


def family(*roots: int, without: Iterable[int] = ()) -> set[int]:
    """Return processes and all that descend from them, but for some and what descends from those."""
    children: dict[int, list[int]] = {}
    for pid, fields in _all_stats():
        children.setdefault(int(fields[1]), []).append(pid)
    found: set[int] = set()
    left, barred = list(roots), set(without)
    while left:
        pid = left.pop()
        if pid not in found and pid not in barred:
            found.add(pid)
            left += children.get(pid, [])
    return found


def cpu_seconds(pids: Iterable[int], *, with_ended: bool = False) -> float:
    """Return the CPU time that processes have used so far.

    Args:
        pids: the processes; one that has ended counts nothing.
        with_ended: also count their children that have ended.
    """
    total = 0
    for pid in pids:
        with suppress(OSError):
            fields = _stat(pid)
            total += sum(map(int, fields[11 : 15 if with_ended else 13]))
    return total / _TICKS


def pss_mib(pid: int) -> float:
    """Return the proportional set size of a process: what it shares is divided among those that share it."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def wakeups(pid: int) -> int:
    """Return how often the threads of a process have gone to sleep so far, and so been woken."""
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/status"):
        with suppress(OSError):
            total += int(path.read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return total


def listening_port(pid: int) -> int:
    """Return the TCP port at which a process listens.

    Raises:
        LookupError: if there is none.
    """
    sockets = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            sockets.add(path.readlink().name)
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == _LISTENS and f"socket:[{fields[9]}]" in sockets:
            return int(fields[1].rpartition(":")[2], 16)
    raise LookupError(f"process {pid} listens at no TCP port")


def _all_stats() -> Iterator[tuple[int, list[str]]]:
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield int(path.name), _stat(int(path.name))


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat that follow the name: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
