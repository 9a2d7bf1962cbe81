"""The life of one real container: power, sizes, config, a cancelled script, what its disk can't, its end."""

import asyncio
import secrets
import time

import httpx
import pytest

from support.stack import RunningStack, create, done, job_events, messages
from support.waiting import processes_of

pytestmark = [pytest.mark.lxc, pytest.mark.slow]
MINUTES = 60.0
MARK = "97531"
"""How long the script sleeps, in seconds: by it its process is found on the host."""
SLEEP = ("sleep", MARK)


async def _begun(api: httpx.AsyncClient, job: str) -> None:
    async with api.stream("GET", f"/api/v1/jobs/{job}/events") as answer:
        async for line in answer.aiter_lines():
            if "it sleeps now" in line:
                return


async def test_one_life(real_stack: RunningStack) -> None:
    """A cancelled script's process is gone; the container obeys; its disk can't be snapshotted, or can."""
    async with real_stack.client() as api:
        accepted = await create(
            api,
            template="sleeping",
            hostname=f"life-{secrets.token_hex(3)}",
            variables={"seconds": MARK},
        )
        job, path = accepted["job"]["id"], f"containers/{accepted['container']['id']}"
        await asyncio.wait_for(_begun(api, job), 2 * MINUTES)
        asleep = processes_of(*SLEEP)
        await api.post(f"/api/v1/jobs/{job}/cancel")
        events = await asyncio.wait_for(job_events(api, job), MINUTES)
        left = await _none_left()

        assert asleep
        assert events[-1].content["state"] == "cancelled", events[-1].text
        assert left == []
        await _obeys(api, path)
        await _snapshots(api, path)
        deletion = await api.delete(f"/api/v1/{path}")
        gone = await asyncio.wait_for(job_events(api, deletion.json()["job"]["id"]), MINUTES)
        assert gone[-1].content["state"] == "succeeded", gone[-1].text
        assert (await api.get(f"/api/v1/{path}")).json()["lifecycle"] == "deleted"


async def _none_left() -> list[int]:
    """Wait a little for the sleepers to go; those that have not."""
    ends = time.monotonic() + 5
    while (left := processes_of(*SLEEP)) and time.monotonic() < ends:  # noqa: ASYNC110 - a process has no event
        await asyncio.sleep(0.1)
    return left


async def _obeys(api: httpx.AsyncClient, path: str) -> None:
    """Power, sizes and config, each seen in what Slipway then knows."""
    await done(api, f"{path}/resize", {"memory": 320})
    await done(api, f"{path}/configure", {"description": "mine", "onboot": True})
    restarted = await done(api, f"{path}/restart", {"grace_seconds": 10})
    await done(api, f"{path}/shutdown", {"grace_seconds": 10})
    container = (await api.get(f"/api/v1/{path}")).json()
    assert (container["power"], container["spec"]["memory"]) == ("stopped", 320)
    assert "nothing to do" in messages(await done(api, f"{path}/stop"))
    started = await done(api, f"{path}/start")
    assert "nothing to do" not in messages(started)
    assert restarted[-1].content["state"] == "succeeded"
    assert (await api.get(f"/api/v1/{path}")).json()["power"] == "running"


async def _snapshots(api: httpx.AsyncClient, path: str) -> None:
    """What the backend can't is said in Proxmox's own words; what it can is there and can be gone back to."""
    asked = await api.post(f"/api/v1/{path}/snapshot", json={"snapshot": "before"})
    events = await asyncio.wait_for(job_events(api, asked.json()["job"]["id"]), MINUTES)
    if events[-1].content["state"] == "failed":
        assert "snapshot feature is not available" in events[-1].content["error"]["message"]
        return
    back = await done(api, f"{path}/rollback", {"snapshot": "before"})
    assert "it is stopped now, as Proxmox leaves it" in messages(back)
    await done(api, f"{path}/start")
