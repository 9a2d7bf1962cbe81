"""A lock that something killed has left: seen in plans, taken away over HTTP and from the command line."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from slipway.lab.faults import Locked
from support.command_line import slipway
from support.lab import lab_of, ordered
from support.stack import RunningStack, create, done, job_events, messages

Row = dict[str, Any]


@pytest.fixture
async def lab(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """The node, as whoever works in Proxmox itself."""
    async with lab_of(stack.data) as client:
        yield client


@pytest.fixture
async def made(api: httpx.AsyncClient) -> Row:
    """A container that runs."""
    accepted = await create(api, template="debian-base", hostname=f"locked-{secrets.token_hex(3)}")
    assert (await job_events(api, accepted["job"]["id"]))[-1].content["state"] == "succeeded"
    container: Row = (await api.get(f"/api/v1/containers/{accepted['container']['id']}")).json()
    return container


async def test_a_lock_is_taken_away_over_http(
    api: httpx.AsyncClient, lab: httpx.AsyncClient, made: Row
) -> None:
    """The plans of one and of many name it; without one there is nothing to do."""
    path = f"containers/{made['id']}/unlock"
    free = await done(api, path)
    await ordered(lab, Locked(vmid=made["vmid"]))
    body = {"kind": "container.resize", "selection": str(made["vmid"]), "args": {"memory": 600}}

    plan = (await api.post(f"/api/v1/{path}", params={"plan": "true"})).json()
    many = (await api.post("/api/v1/jobs", params={"plan": "true"}, json=body)).json()
    wrong = await api.post(f"/api/v1/{path}", json={"keys": ["tty"]})
    await done(api, path)

    name = f"{made['hostname']} ({made['vmid']})"
    assert "it is not locked" in messages(free)
    assert [step["effect"] for step in plan["steps"]] == ["done", "acts"]
    assert plan["destroys"] == [
        f"the lock of container {made['vmid']} ({made['hostname']}), which keeps others away from it"
    ]
    assert any(each.startswith(f"{name}: it would fail: Container") for each in many["warnings"]), many
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "args.keys")
    assert await lock_of(lab, made) is None


async def test_a_lock_is_taken_away_from_the_command_line(
    stack: RunningStack, lab: httpx.AsyncClient, made: Row
) -> None:
    """Only when it was confirmed: typed in a terminal, or said beforehand."""
    await ordered(lab, Locked(vmid=made["vmid"]))

    unasked, refused = await slipway(stack, "unlock", made["hostname"])
    declined, _ = await slipway(stack, "unlock", made["hostname"], typed="n\n")
    still = await lock_of(lab, made)
    status, output = await slipway(stack, "unlock", made["hostname"], "--yes")

    assert (unasked, declined, still) == (2, 1, "backup")
    assert "Add --yes" in refused
    assert status == 0, output
    assert await lock_of(lab, made) is None


async def lock_of(lab: httpx.AsyncClient, made: Row) -> str | None:
    """Return the lock in a container's config."""
    answer = await lab.get(f"/nodes/{made['node']}/lxc/{made['vmid']}/config")
    lock: str | None = answer.json()["data"].get("lock")
    return lock
