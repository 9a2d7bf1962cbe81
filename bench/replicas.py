"""How many jobs one, two and four provisioners end per second, on eight nodes.

Each has few slots and the scripts wait, so that slots and not this machine's cores are what is short; how
much of the cores was used stands beside it.
"""

import asyncio
import secrets
import time

from chaos.processes import Processes

from bench.builds import OURS, Side, running
from bench.processes import cpu_seconds, family
from bench.table import Row
from slipway.client.sse import follow
from support.stack import create, stack_folder

NODES = 8
SLOTS = 2
SIZE = 16
SLEEP = "20"
"""Seconds: what else a job takes is short beside it, also on a busy machine."""
PROVISIONERS = (1, 2, 4)
REST_SECONDS = 20.0


async def measured() -> list[Row]:
    """Create the same batch with more and more provisioners."""
    with (
        stack_folder() as data,
        running(OURS, "--nodes", str(NODES), data=data, SLIPWAY_RUN_SLOTS=str(SLOTS)) as side,
    ):
        replicas: list[Processes] = []
        rows: list[Row] = []
        alone = 0.0
        try:
            for count in PROVISIONERS:
                while len(replicas) < count - 1:
                    replicas.append(Processes(side.stack))
                    await replicas[-1].start_replica()
                took, ours, everything = await _batch(side, [await each.pid("replica") for each in replicas])
                alone = alone or took
                beside = (
                    f"{alone / took:.2f} of one provisioner's; CPU for each job {ours * 1000 / SIZE:.0f} ms; "
                    f"all with the lab {everything / took:.0%} of a core"
                )
                what = f"jobs of {SLEEP} s on {NODES} nodes, provisioners of {SLOTS} slots: {count}"
                rows.append(Row(what, SIZE / took, beside, "jobs/s"))
        finally:
            for each in replicas:
                each.end_replica()
    return rows


async def _batch(side: Side, replicas: list[int]) -> tuple[float, float, float]:
    """Create a batch; its seconds, Slipway's CPU seconds beyond its rest, and all with the lab."""
    lab = side.stack.endpoints["pids"]["lab"]
    ours, before = side.pids | set(replicas), family(lab)
    before_rest = cpu_seconds(ours)
    await asyncio.sleep(REST_SECONDS)
    rate = (cpu_seconds(ours) - before_rest) / REST_SECONDS
    used, used_by_lab = cpu_seconds(ours), cpu_seconds(before, with_ended=True)
    began = time.monotonic()
    async with side.stack.client() as api:
        name = f"batch-{secrets.token_hex(3)}"
        body = {"hostname": name, "template": "sleeping", "variables": {"seconds": SLEEP}, "count": SIZE}
        job = (await create(api, **body))["job"]["id"]
        events = [event async for event in follow(api, f"/api/v1/jobs/{job}/events")]
    assert events[-1].content["state"] == "succeeded", events[-1].text
    took = time.monotonic() - began
    mine = cpu_seconds(ours) - used
    return took, mine - rate * took, mine + cpu_seconds(family(lab), with_ended=True) - used_by_lab
