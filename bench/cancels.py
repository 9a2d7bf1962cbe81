"""How long it takes from asking for a cancel to the end of the script's last process."""

import asyncio
import secrets
import time

import httpx

from bench.table import Row, percentile
from slipway.client.sse import follow
from support.stack import RunningStack, create
from support.waiting import processes_of

CANCELS = 10
AN_HOUR = 3600
_SECONDS = 20.0


async def measured(stack: RunningStack) -> list[Row]:
    """Cancel scripts that sleep for an hour, one after the other."""
    gone, done = [], []
    async with stack.client() as api:
        for number in range(CANCELS):
            process, job = await _cancelled(api, str(AN_HOUR + number))
            gone.append(process)
            done.append(job)
    detail = f"slowest {max(gone):.2f} s; the job's `done` p50 {percentile(done, 0.5):.2f} s"
    what = "cancel asked to the last process gone, of a script that sleeps for an hour, p50"
    return [Row(what, percentile(gone, 0.5), f"{detail}, slowest {max(done):.2f} s", "s")]


async def _cancelled(api: httpx.AsyncClient, seconds: str) -> tuple[float, float]:
    """Cancel one in its sleep; seconds until its process is gone, and until its job has ended."""
    body = {"template": "sleeping", "variables": {"seconds": seconds}}
    job = (await create(api, hostname=f"cancel-{secrets.token_hex(4)}", **body))["job"]["id"]
    async with asyncio.timeout(_SECONDS):
        while not processes_of("sleep", seconds):  # noqa: ASYNC110 - a process has no event
            await asyncio.sleep(0.05)
    began = time.monotonic()
    ended = asyncio.create_task(_until_done(api, job))
    await api.post(f"/api/v1/jobs/{job}/cancel")
    async with asyncio.timeout(_SECONDS):
        while processes_of("sleep", seconds):  # noqa: ASYNC110 - a process has no event
            await asyncio.sleep(0.01)
        gone = time.monotonic() - began
        return gone, await ended - began


async def _until_done(api: httpx.AsyncClient, job: str) -> float:
    async for event in follow(api, f"/api/v1/jobs/{job}/events"):
        if event.kind == "done":
            break
    return time.monotonic()
