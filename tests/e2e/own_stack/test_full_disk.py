"""A disk that is full: what exists can be stopped and deleted, nothing new is begun."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from slipway.standalone.reserve import Reserve
from support.folders import fill_up, small_disk
from support.stack import RunningStack, create, done, job_events, running_stack
from support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """A Slipway whose data folder is a disk of 700 MiB; the lab's guests are on it too."""
    with (
        small_disk("full", 700) as data,
        running_stack(
            "--lab", "--guests", "simulated", data=data, SLIPWAY_PROXMOX_RECORD="/dev/null"
        ) as running,
    ):
        yield running


async def test_a_full_disk_lets_one_stop_and_delete(stack: RunningStack) -> None:
    """The reserve makes it possible; a creation is refused and says why; with room again it succeeds."""
    reserve, filler = Reserve(stack.data, print), stack.data / "filler"
    async with stack.client() as api:
        container = (await created(api, "first"))["id"]
        await until(reserve.path.exists)
        fill_up(filler)
        await until(lambda: not reserve.path.exists())

        await done(api, f"containers/{container}/stop")
        deletion = await api.delete(f"/api/v1/containers/{container}")
        ended = await job_events(api, deletion.json()["job"]["id"])
        refused = await api.post("/api/v1/containers", json={"template": "debian-base", "hostname": "new"})
        ready = (await api.get("/readyz")).json()
        filler.unlink()
        await until(reserve.path.exists)
        await created(api, "second")

    assert ended[-1].content["state"] == "succeeded", ended[-1].text
    assert (refused.status_code, refused.json()["code"]) == (httpx.codes.SERVICE_UNAVAILABLE, "disk.full")
    assert list(ready["degraded"]) == ["disk.full"]


async def created(api: httpx.AsyncClient, hostname: str) -> dict[str, str]:
    """Create a container."""
    accepted = await create(api, template="debian-base", hostname=hostname)
    async with asyncio.timeout(60):
        events = await job_events(api, accepted["job"]["id"])
    assert events[-1].content["state"] == "succeeded", events[-1].text
    container: dict[str, str] = accepted["container"]
    return container
