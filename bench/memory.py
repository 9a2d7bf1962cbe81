"""Idle memory: the proportional set size of every process of a stack."""

import time
from pathlib import Path

from bench.table import Row
from support.stack import RunningStack

REST_SECONDS = 5.0


def idle(stack: RunningStack) -> Row:
    """Measure a stack that has nothing to do; the lab does not count."""
    time.sleep(REST_SECONDS)
    pids = {name: pid for name, pid in stack.endpoints["pids"].items() if name != "lab"}
    parts = {name: sum(map(_pss_mib, _family(pid))) for name, pid in pids.items()}
    parts["up"] = _pss_mib(stack.process.pid)
    detail = ", ".join(f"{name} {size:.0f}" for name, size in sorted(parts.items()))
    return Row("idle memory of the whole stack (PSS)", f"{sum(parts.values()):.0f} MiB", detail)


def _family(pid: int) -> list[int]:
    """Return a process and its children."""
    pids = [pid]
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(") ")[2].split()[1])
        except OSError:
            continue
        if parent in pids:
            pids.append(int(path.parent.name))
    return pids


def _pss_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
