"""A worker dies in any phase, a viewer is cut off at any time: nothing is done twice, nothing is lost."""

import asyncio
import os
import random
import secrets
import signal

import httpx
import pytest

from slipway.client.sse import ServerEvent, read_events
from support.job_logs import begun_after_their_end, ended_steps, lines, numbers
from support.lab import guests_named
from support.stack import RunningStack, create, job_events

PHASES = ("create", "start", "deploy", "sync", "finalize")


async def killed_in(stack: RunningStack, api: httpx.AsyncClient, job: str, phase: str) -> None:
    """Kill the provisioner as soon as a phase has begun; in sync, in the middle of the script."""
    at = "number 5" if phase == "sync" else f'"phase":"{phase}","status":"started"'
    async with api.stream("GET", f"/api/v1/jobs/{job}/events") as answer:
        async for line in answer.aiter_lines():
            if at in line:
                os.kill(stack.endpoints["pids"]["provisioner"], signal.SIGKILL)
                return


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
async def test_worker_killed(stack: RunningStack, api: httpx.AsyncClient, phase: str) -> None:
    """The next worker goes on where the dead one was: one container, each step and each line once."""
    name = f"kill-{phase}-{secrets.token_hex(2)}"
    job = (await create(api, template="counting", hostname=name))["job"]["id"]
    await asyncio.wait_for(killed_in(stack, api, job, phase), 60)

    events = await asyncio.wait_for(job_events(api, job), 90)

    phases = [(event.content["phase"], event.content["status"]) for event in events if event.kind == "phase"]
    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert phases == [(each, status) for each in PHASES for status in ("started", "finished")]
    assert begun_after_their_end(events) == []
    assert len(ended_steps(events)) == len(set(ended_steps(events)))
    assert numbers(events) == list(range(1, 2001))
    assert await guests_named(stack.endpoints["lab"], name) == 1


async def test_viewer_cut_off_ten_times(api: httpx.AsyncClient) -> None:
    """Resumed with `Last-Event-ID` each time, the job log is the one of an uninterrupted viewer."""
    chance = random.Random(7)
    job = (await create(api, template="counting", hostname=f"cut-{secrets.token_hex(2)}"))["job"]["id"]
    seen: list[ServerEvent] = []
    cuts = 0
    while not seen or seen[-1].kind != "done":
        limit = chance.randint(1, 12) if cuts < 10 else 10_000
        seen += await some(api, job, seen[-1].id if seen else None, limit)
        cuts += 1

    whole = await job_events(api, job)

    assert cuts > 10
    assert [(event.id, event.kind, event.text) for event in seen] == [
        (event.id, event.kind, event.text) for event in whole
    ]
    assert numbers(seen) == list(range(1, 2001))


async def test_secret_is_masked_in_place(api: httpx.AsyncClient) -> None:
    """What a script prints is shown, but for the secrets that Slipway knows."""
    body = {"variables": {"word": "loud", "passphrase": "correct horse battery"}}
    accepted = await create(api, template="counting", hostname=f"mask-{secrets.token_hex(2)}", **body)

    output = lines(await job_events(api, accepted["job"]["id"]))

    assert "the word is loud, the passphrase is [redacted]" in output
    assert not any("horse" in line for line in output)


async def test_failure_then_retry(api: httpx.AsyncClient) -> None:
    """A failed script is reported with its code and its last lines; a retry begins with it, as a new job."""
    first = await create(api, template="failing", hostname=f"fails-{secrets.token_hex(2)}")
    failed = await job_events(api, first["job"]["id"])

    answer = await api.post(f"/api/v1/jobs/{first['job']['id']}/retry")

    error = failed[-1].content["error"]
    assert (failed[-1].content["state"], error["code"]) == ("failed", "script.failed")
    assert "20-second.sh" in error["message"]
    assert "code 3" in error["message"]
    assert "not this time" in error["message"]
    assert error["details"]["step"] == "sync.script.1"
    assert "not this time" in error["details"]["last_lines"]
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    second = await job_events(api, answer.json()["job"]["id"])
    assert second[-1].content["state"] == "succeeded", second[-1].text
    assert "the second has run" in lines(second)
    assert "the first has run" not in lines(second)


async def test_retry_that_never_begins(api: httpx.AsyncClient) -> None:
    """A retry that is cancelled while it waits leaves the container what it was: failed, and ours."""
    first = await create(api, template="failing", hostname=f"waits-{secrets.token_hex(2)}")
    await job_events(api, first["job"]["id"])
    maintenance = "/api/v1/clusters/lab/nodes/lab/maintenance"
    await api.put(maintenance)
    try:
        again = (await api.post(f"/api/v1/jobs/{first['job']['id']}/retry")).json()["job"]["id"]
        await api.post(f"/api/v1/jobs/{again}/cancel")
        events = await job_events(api, again)
    finally:
        await api.delete(maintenance)

    assert events[-1].content["state"] == "cancelled"
    path = f"/api/v1/containers/{first['container']['id']}"
    assert (await api.get(path)).json()["lifecycle"] == "failed"
    deleted = await api.delete(path)
    assert (await job_events(api, deleted.json()["job"]["id"]))[-1].content["state"] == "succeeded"


async def test_retry_from_a_phase(api: httpx.AsyncClient) -> None:
    """A retry may begin with an earlier phase than the one that failed."""
    first = await create(api, template="failing", hostname=f"again-{secrets.token_hex(2)}")
    await job_events(api, first["job"]["id"])

    answer = await api.post(f"/api/v1/jobs/{first['job']['id']}/retry", json={"phase": "sync"})

    second = await job_events(api, answer.json()["job"]["id"])
    assert second[-1].content["state"] == "succeeded", second[-1].text
    assert {"the first has run", "the second has run"} <= set(lines(second))


@pytest.mark.parametrize(("policy", "exists"), [("keep", True), ("stop", True), ("destroy", False)])
async def test_policy_on_failure(
    stack: RunningStack, api: httpx.AsyncClient, policy: str, *, exists: bool
) -> None:
    """A failed creation is stored, stopped or destroyed, as was wished; destroyed, its name is free."""
    name = f"policy-{policy}-{secrets.token_hex(2)}"
    accepted = await create(api, template="failing", hostname=name, on_failure=policy)
    events = await job_events(api, accepted["job"]["id"])
    container = (await api.get(f"/api/v1/containers/{accepted['container']['id']}")).json()

    assert events[-1].content["state"] == "failed"
    assert await guests_named(stack.endpoints["lab"], name) == int(exists)
    assert container["lifecycle"] == ("failed" if exists else "deleted")
    if not exists:
        await job_events(api, (await create(api, template="debian-base", hostname=name))["job"]["id"])


async def some(api: httpx.AsyncClient, job: str, after: str | None, limit: int) -> list[ServerEvent]:
    """Follow a job for some of its own events, then hang up."""
    events: list[ServerEvent] = []
    headers = {"Last-Event-ID": after} if after else {}
    async with api.stream("GET", f"/api/v1/jobs/{job}/events", headers=headers) as response:
        async for event in read_events(response):
            if event.kind != "outage":
                events.append(event)
            if len(events) == limit:
                break
    return events
