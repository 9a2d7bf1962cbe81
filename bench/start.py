"""`slipway up` until it is ready, on an empty folder and again; then its memory at rest.

One stack at a time: what two builds share in memory would be divided between them.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx

from bench.builds import Build, Side, builds, running
from bench.processes import cpu_seconds, family, pss_mib
from bench.table import Row, compared
from slipway.standalone.embedded.ports import free_port
from support.stack import stack_folder

TURNS = 3
REST_SECONDS = 10.0
FLOOR_PROCESSES = 5
_FLOOR = (
    "import sys, fastapi, uvicorn; uvicorn.run(fastapi.FastAPI(), port=int(sys.argv[1]), log_level='error')"
)


def measured() -> list[Row]:
    """Start each build on fresh folders, in turns."""
    values: dict[str, dict[str, list[float]]] = {}
    for _ in range(TURNS):
        for build in builds():
            for what, value in _one(build).items():
                values.setdefault(what, {each.name: [] for each in builds()})[build.name].append(value)
    bare = f"{FLOOR_PROCESSES} bare FastAPI processes {_bare_mib():.0f} MiB"
    ours = {name: median(each[builds()[0].name]) for name, each in values.items()}
    parts = ", ".join(
        f"{name.removeprefix('memory ')} {ours.pop(name):.0f}" for name in [*ours] if "memory " in name
    )
    return [
        compared("`slipway up` to ready, empty data folder", values["cold"], "s"),
        compared("`slipway up` to ready, second start", values["warm"], "s"),
        compared("`slipway up` to ready, second start, CPU", values["cpu"], "s"),
        compared("idle memory of the whole stack (PSS)", values["memory"], "MiB", f"{bare}; {parts}"),
    ]


def _one(build: Build) -> dict[str, float]:
    with stack_folder() as data:
        with _timed(build, data) as (_, cold):
            pass
        with _timed(build, data) as (side, warm):
            cpu = cpu_seconds(side.pids, with_ended=True)
            time.sleep(REST_SECONDS)
            found = sizes(side)
    return {"cold": cold, "warm": warm, "cpu": cpu, "memory": sum(found.values())} | {
        f"memory {name}": size for name, size in found.items()
    }


@contextmanager
def _timed(build: Build, data: Path) -> Iterator[tuple[Side, float]]:
    began = time.monotonic()
    with running(build, data=data) as side:
        yield side, time.monotonic() - began


def sizes(side: Side) -> dict[str, float]:
    """Return the memory of each part with what descends from it; what is no part's is `up`'s."""
    pids = side.stack.endpoints["pids"]
    mine = {name: family(pid) for name, pid in pids.items() if name != "lab"}
    parts = {name: sum(map(pss_mib, each)) for name, each in mine.items()}
    rest = side.pids.difference(*mine.values())
    return {"up": sum(map(pss_mib, rest)), **parts}


def _bare_mib() -> float:
    """Return what processes take together that do nothing but serve an empty FastAPI."""
    ports = [free_port() for _ in range(FLOOR_PROCESSES)]
    processes = [subprocess.Popen([sys.executable, "-c", _FLOOR, str(port)]) for port in ports]
    try:
        for port in ports:
            _answers(f"http://127.0.0.1:{port}/openapi.json")
        return sum(pss_mib(process.pid) for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _answers(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(url, trust_env=False, timeout=5).raise_for_status()
        except httpx.TransportError:
            assert time.monotonic() < deadline, url
            time.sleep(0.05)
        else:
            return
