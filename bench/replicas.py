"""How much a second provisioner speeds up a batch that the first one's slots hold back."""

import secrets
import time

from chaos.processes import Processes

from bench.table import Row
from support.stack import RunningStack, job_events

SLOTS = 2
LIMITS = {"SLIPWAY_RUN_SLOTS": str(SLOTS)}
"""Of each provisioner, in the environment of the stack to measure."""
SIZE = 40
SLEEP = "2"
"""Seconds: containers whose scripts wait, so that slots and not this machine's cores are what is short."""


async def measured(stack: RunningStack) -> list[Row]:
    """Create the same batch with one provisioner, and with two."""
    processes = Processes(stack)
    one = await _batch(stack)
    await processes.start_replica()
    try:
        two = await _batch(stack)
    finally:
        processes.end_replica()
    what = f"a batch of {SIZE} creations, two provisioners with {SLOTS} slots each"
    return [Row(what, f"{two:.1f} s", f"one provisioner {one:.1f} s; ratio {two / one:.2f}")]


async def _batch(stack: RunningStack) -> float:
    async with stack.client() as api:
        name = f"batch-{secrets.token_hex(3)}"
        body = {"hostname": name, "template": "sleeping", "variables": {"seconds": SLEEP}, "count": SIZE}
        began = time.monotonic()
        job = (await api.post("/api/v1/containers", json=body)).raise_for_status().json()["job"]["id"]
        events = await job_events(api, job)
        assert events[-1].content["state"] == "succeeded", events[-1].text
        return time.monotonic() - began
