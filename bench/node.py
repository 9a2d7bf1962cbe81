"""A node of the lab beside the stacks, in a process of its own, with the waits of a real node.

python -m bench.node FOLDER '{"pct_startup": 0.65}'
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from slipway.lab.__main__ import serve
from slipway.lab.node import Lab
from slipway.lab.settings import Timings
from slipway.standalone.lab import CLUSTER, RunningLab, read_lab
from support.waiting import until

START_SECONDS = 60.0


@contextmanager
def running_node(data: Path, **timings: float) -> Iterator[RunningLab]:
    """Run it until the block ends.

    Args:
        data: the folder of the lab.
        timings: fields of `slipway.lab.settings.Timings`, in seconds.
    """
    (data / "lab").mkdir(parents=True)
    with (data / "lab.log").open("ab") as output:
        command = [sys.executable, "-m", "bench.node", str(data / "lab"), json.dumps(timings)]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_SECONDS
        while (lab := read_lab(data / "lab")) is None:
            ended = process.poll() is not None or time.monotonic() > deadline
            assert not ended, (data / "lab.log").read_text()
            time.sleep(0.05)
        yield lab
    finally:
        process.terminate()
        process.wait(60)


async def use(api: httpx.AsyncClient, lab: RunningLab) -> None:
    """Add it as a Slipway's cluster, and wait until containers can be created on it."""
    answer = await api.post("/api/v1/clusters", json=lab.access(), timeout=60)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    await until(lambda: _is_usable(api, set(lab.content["nodes"])), within_seconds=START_SECONDS)


async def _is_usable(api: httpx.AsyncClient, names: set[str]) -> bool:
    clusters = (await api.get("/api/v1/clusters")).json()["items"]
    nodes = [node for cluster in clusters if cluster["name"] == CLUSTER for node in cluster["nodes"]]
    usable = {each["node"] for each in nodes if each["is_online"] and each["is_ssh_usable"]}
    return usable >= names and bool((await api.get("/api/v1/templates")).json()["items"])


def main() -> None:
    """Serve until SIGTERM."""
    folder, timings = sys.argv[1:]
    lab = Lab(Path(folder), guests="simulated", timings=Timings(**json.loads(timings)))
    asyncio.run(serve(lab))


if __name__ == "__main__":
    main()
