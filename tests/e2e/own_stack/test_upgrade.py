"""A data folder of the build before goes on under this one: nothing is lost, nothing is done twice.

The older build is killed in the middle of its work, and this one started on its folder. The lab is a process
of its own that lives through it, as a Proxmox host does. `BEFORE` moves on with each issue.
"""

import asyncio
import json
import os
import secrets
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
from nats.aio.client import Client

from slipway.client.sse import ServerEvent
from support.folders import open_folder
from support.job_logs import begun_after_their_end, lines, numbers
from support.lab import lab_of
from support.lab import until as holds
from support.older_build import cluster_of, lab_beside, older_build
from support.stack import (
    SOON_TAKEN_OVER,
    RunningStack,
    create,
    done,
    job_events,
    running_stack,
    stack_folder,
)
from support.waiting import lives, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BEFORE = "6487326a7d394d3297c62cc35baa11a845b511fb"
ROOT = Path(__file__).parents[3]
RUBBISH = b'{"job": "no such thing"}'
MAINTENANCE = "/api/v1/clusters/lab/nodes/lab/maintenance"
WAIT_SECONDS = 60.0
COMMANDS = 4


@dataclass
class Left:
    """What was asked of the older build, and what it answered."""

    jobs: dict[str, str] = field(default_factory=dict)
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, list[ServerEvent]] = field(default_factory=dict)
    """Of the jobs that had ended."""
    logs: dict[str, str] = field(default_factory=dict)
    credentials: dict[str, str] = field(default_factory=dict)
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    audit: list[dict[str, Any]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    replies: dict[str, Any] = field(default_factory=dict)
    """By idempotency key."""
    cookies: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def upgraded() -> Iterator[tuple[RunningStack, Left]]:
    """The older build's folder under this build, its waiting batch released."""
    with open_folder("older") as older, stack_folder() as data:
        python = older_build(BEFORE, older)
        templates = data.parent / "lxc" / "templates"
        shutil.copytree(ROOT / "infra" / "lxc", templates.parent)
        shutil.copytree(Path(__file__).parents[1] / "templates", templates, dirs_exist_ok=True)
        settings = {"SLIPWAY_TEMPLATES_DIR": str(templates), **SOON_TAKEN_OVER}
        with lab_beside(data.parent):
            with running_stack(data=data, program=(str(python), "-m", "slipway.cli"), **settings) as stack:
                left = asyncio.run(_work(stack))
                _kill(stack)
            with running_stack(data=data, **settings) as stack:
                asyncio.run(_release(stack, left))
                yield stack, left


@pytest.fixture
async def api(upgraded: tuple[RunningStack, Left]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of this build with the first user's rights."""
    async with upgraded[0].client() as client:
        yield client


@pytest.fixture
def left(upgraded: tuple[RunningStack, Left]) -> Left:
    """What the older build had to do, and had done."""
    return upgraded[1]


async def test_running_job_goes_on(
    upgraded: tuple[RunningStack, Left], api: httpx.AsyncClient, left: Left
) -> None:
    """To its end; each line and each step once, and one container."""
    events = await job_events(api, left.jobs["busy"])

    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert numbers(events) == list(range(1, 2001))
    assert begun_after_their_end(events) == []
    async with lab_of(upgraded[0].data.parent) as lab:
        guests = (await lab.get("/nodes/lab/lxc")).json()["data"]
    assert sorted(each["name"] for each in guests) == ["broken", "busy", "keep-1", "keep-2", "keep-3"]


async def test_command_that_nobody_had_taken(api: httpx.AsyncClient, left: Left) -> None:
    """It is taken with its arguments."""
    events = await job_events(api, left.jobs["configure"])

    assert events[-1].content["state"] == "succeeded", events[-1].text
    container = (await api.get(f"/api/v1/containers/{left.containers['keep-3']['id']}")).json()
    assert (container["spec"]["onboot"], container["spec"]["tags"]) == (True, ["old"])


async def test_cancellation_that_nobody_had_taken(api: httpx.AsyncClient, left: Left) -> None:
    """What was cancelled with its container is removed with it."""
    events = await job_events(api, left.jobs["doomed"])

    container = (await api.get(f"/api/v1/containers/{left.containers['doomed']['id']}")).json()
    assert (events[-1].content["state"], container["lifecycle"]) == ("cancelled", "deleted")


async def test_waiting_jobs_are_done(api: httpx.AsyncClient, left: Left) -> None:
    """Those of a batch, each once, and one of its own, with what it was asked for."""
    batch = await job_events(api, left.jobs["batch"])
    single = await job_events(api, left.jobs["snapshot"])

    children = (await api.get("/api/v1/jobs", params={"parent": left.jobs["batch"]})).json()["items"]
    assert batch[-1].content["state"] == "succeeded", batch[-1].text
    assert sorted(each["hostname"] for each in children) == ["keep-1", "keep-2"]
    assert {each["state"] for each in children} == {"succeeded"}
    assert single[-1].content["state"] == "succeeded", single[-1].text
    path = f"/api/v1/containers/{left.containers['broken']['id']}/snapshots"
    assert [each["name"] for each in (await api.get(path)).json()["items"]] == ["late"]


async def test_containers_are_what_they_were(api: httpx.AsyncClient, left: Left) -> None:
    """With their credentials, and the snapshots on their host."""
    for name in ("keep-1", "keep-2"):
        now = (await api.get(f"/api/v1/containers/{left.containers[name]['id']}")).json()
        # A field that the older build did not know is not set.
        assert now["spec"].pop("guest") is None
        same = ("id", "vmid", "hostname", "cluster_id", "lifecycle", "spec", "services", "created_at")
        assert {each: now[each] for each in same} == {each: left.containers[name][each] for each in same}

    assert await _credentials(api, left.containers["keep-1"]) == left.credentials
    assert await _snapshots(api, left.containers["keep-1"]) == left.snapshots
    await done(api, f"containers/{left.containers['keep-1']['id']}/rollback", {"snapshot": "before"})


@pytest.mark.parametrize("name", ["fleet", "keep-1", "broken", "taken"])
async def test_ended_jobs_are_shown_as_before(api: httpx.AsyncClient, left: Left, name: str) -> None:
    """Events and text; of `keep-1` the bus has nothing any more, only the stored log."""
    job = left.jobs[name]

    assert await job_events(api, job) == left.events[name]
    assert (await api.get(f"/api/v1/jobs/{job}/log")).text == left.logs[name]


async def test_failed_job_is_retried(api: httpx.AsyncClient, left: Left) -> None:
    """From the step that failed, with the secrets of the first one."""
    events = await job_events(api, left.jobs["snapshot"])
    assert events[-1].kind == "done"

    answer = await api.post(f"/api/v1/jobs/{left.jobs['broken']}/retry")
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    events = await job_events(api, answer.json()["job"]["id"])

    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert "the second has run" in lines(events)
    assert "the first has run" not in lines(events)


async def test_audit_is_whole(api: httpx.AsyncClient, left: Left) -> None:
    """What was in it is in it, once."""
    items = await _audit(api)

    before = {each["id"] for each in left.audit}
    assert [each for each in items if each["id"] in before] == left.audit
    assert {each["action"] for each in left.audit} >= {"cluster.add", "container.create", "credential.reveal"}


async def test_dead_letters_are_carried_over(api: httpx.AsyncClient, left: Left) -> None:
    """With where they came from, why and since when; they can be handled again, and dropped."""
    letters = [each for each in await _letters(api) if each["at"] <= left.letters[-1]["at"]]

    same = ("service", "consumer", "subject", "stream", "sequence", "at", "size", "problem", "attempts")
    before = [{key: each[key] for key in same} for each in left.letters]
    for letter in before:
        letter["problem"] = {**letter["problem"], "checks": []}  # a field that the older build lacks
    assert [{key: each[key] for key in same} for each in letters] == before
    command = next(each for each in letters if each["stream"] == "COMMANDS")
    event = next(each for each in letters if each["stream"] == "EVENTS")
    whole = (await api.get(f"/api/v1/dead-letters/{command['id']}")).json()
    assert whole["body"] == RUBBISH.decode()
    assert (await api.post(f"/api/v1/dead-letters/{command['id']}/replay")).status_code == 204
    assert (await api.delete(f"/api/v1/dead-letters/{event['id']}")).status_code == 204


async def test_repeated_requests_get_their_first_reply(api: httpx.AsyncClient, left: Left) -> None:
    """Asked again under the same key, nothing is done twice."""
    again = {key: await _keyed(api, path, body, key) for key, (path, body, _) in left.replies.items()}

    for key, (_, _, reply) in left.replies.items():
        assert (again[key]["job"]["id"], again[key]["container"]["id"]) == (
            reply["job"]["id"],
            reply["container"]["id"],
        )


async def test_cluster_and_session_are_as_before(
    upgraded: tuple[RunningStack, Left], api: httpx.AsyncClient, left: Left
) -> None:
    """The cluster's sealed token still opens, so that it is looked at; who was signed in stays so."""

    async def is_looked_at() -> bool:
        return (await api.get("/api/v1/clusters/lab")).json()["outage"] is None

    async with upgraded[0].client(token="") as browser:
        browser.cookies.update(left.cookies)
        session = await browser.get("/api/v1/session")

    assert session.status_code == httpx.codes.OK
    assert (await api.get("/api/v1/clusters/lab")).json()["id"] == left.containers["keep-1"]["cluster_id"]
    await holds(is_looked_at)


async def _work(stack: RunningStack) -> Left:
    """Leave the older build with everything that it may have to do, and with what it has done."""
    left = Left()
    async with stack.client() as api:
        await _usable(api, cluster_of(stack.data.parent))
        await _made(api, left)
        left.audit = await _audit(api)
        await _unfinished(stack, api, left)
        async with stack.client(token="") as browser:
            headers = {"X-Slipway-Request": "1"}
            signed = await browser.post("/api/v1/session", json={"secret": stack.token}, headers=headers)
            left.cookies = dict(signed.cookies)
    return left


async def _usable(api: httpx.AsyncClient, cluster: dict[str, Any]) -> None:
    added = await api.post("/api/v1/clusters", json=cluster)
    assert added.is_success, added.text

    async def knows_storages() -> bool:
        return any(each["storages"] for each in (await api.get("/api/v1/clusters/lab")).json()["nodes"])

    await holds(knows_storages)


async def _made(api: httpx.AsyncClient, left: Left) -> None:
    """Create containers, one of them in vain; take a snapshot; have one log stored, and two dead letters."""
    body = {"hostname": "keep", "template": "counting", "count": 3, "variables": {"passphrase": "hush-hush"}}
    fleet = await _keyed(api, "containers", body)
    broken = await create(api, template="failing", hostname="broken", password="correct-horse-7")
    left.jobs = {"fleet": fleet["job"]["id"], "broken": broken["job"]["id"]}
    for name in ("fleet", "broken"):
        await job_events(api, left.jobs[name])
    items = (await api.get(f"/api/v1/jobs/{left.jobs['fleet']}")).json()["items"]
    left.jobs["keep-1"] = items[0]["job"]
    await _shown(api, left)
    path = f"containers/{left.containers['keep-1']['id']}/snapshot"
    body = {"snapshot": "before", "description": "of the older build"}
    left.replies["snapshot"] = (path, body, await _keyed(api, path, body, "snapshot"))
    left.jobs["taken"] = left.replies["snapshot"][2]["job"]["id"]
    for name, job in left.jobs.items():
        left.events[name] = await job_events(api, job)
        left.logs[name] = (await api.get(f"/api/v1/jobs/{job}/log")).text
    left.credentials = await _credentials(api, left.containers["keep-1"])
    left.snapshots = await _snapshots(api, left.containers["keep-1"])
    assert sorted(left.credentials) == ["counting/made-up", "root/password"]
    assert [each["name"] for each in left.snapshots] == ["before"]


async def _shown(api: httpx.AsyncClient, left: Left) -> None:
    for each in (await api.get("/api/v1/containers")).json()["items"]:
        left.containers[each["hostname"]] = (await api.get(f"/api/v1/containers/{each['id']}")).json()


async def _unfinished(stack: RunningStack, api: httpx.AsyncClient, left: Left) -> None:
    """Have a job run, a command and a cancellation that nobody takes, jobs that wait, and dead letters."""
    admin, provisioner = await _bus(stack, "admin"), stack.endpoints["pids"]["provisioner"]
    await _forgotten_by_the_bus(admin, left.jobs["keep-1"])
    await admin.jetstream().publish("slipway.v1.command.provisioner.job.run", RUBBISH)
    await admin.jetstream().publish("slipway.v1.event.node.nobody.observed", RUBBISH)
    doomed = await create(api, template="sleeping", hostname="doomed")
    await _until_logged(api, doomed["job"]["id"], "it sleeps now")
    busy = {"template": "counting", "hostname": "busy"}
    left.replies["busy"] = ("containers", busy, await _keyed(api, "containers", busy, "busy"))
    left.jobs |= {"doomed": doomed["job"]["id"], "busy": left.replies["busy"][2]["job"]["id"]}
    await _until_logged(api, left.jobs["busy"], "number 5")

    async def are_put_aside() -> bool:
        return len(await _letters(api, "parked")) == 2

    await holds(are_put_aside)
    left.letters = await _letters(api, "parked")
    await _shown(api, left)

    os.kill(provisioner, signal.SIGSTOP)
    path = f"containers/{left.containers['keep-3']['id']}/configure"
    body: dict[str, Any] = {"onboot": True, "tags": ["old"]}
    left.replies["configure"] = (path, body, await _keyed(api, path, body, "configure"))
    left.jobs["configure"] = left.replies["configure"][2]["job"]["id"]
    cancelled = await api.post(f"/api/v1/jobs/{left.jobs['doomed']}/cancel", params={"destroy": "true"})
    assert cancelled.status_code == httpx.codes.ACCEPTED, cancelled.text
    await _until_sent(admin)
    await api.put(MAINTENANCE)
    selected = ",".join(str(left.containers[name]["vmid"]) for name in ("keep-1", "keep-2"))
    batch = {"kind": "container.restart", "selection": selected}
    left.jobs["batch"] = (await _keyed(api, "jobs", batch))["job"]["id"]
    snapshot = {"snapshot": "late", "description": "asked of the older build"}
    path = f"containers/{left.containers['broken']['id']}/snapshot"
    left.jobs["snapshot"] = (await _keyed(api, path, snapshot))["job"]["id"]
    await admin.close()


async def _until_sent(admin: Client) -> None:
    """Wait until all commands are on the bus: of two running jobs, one to run, and one to cancel."""

    async def are_sent() -> bool:
        return (await admin.jetstream().stream_info("COMMANDS")).state.messages == COMMANDS

    await holds(are_sent)


async def _forgotten_by_the_bus(admin: Client, job: str) -> None:
    """Wait until inventory has stored a job's log, and take its events off the bus, as their age does."""
    subject, question = "slipway.v1.query.inventory.story.get", f'{{"job": "{job}"}}'.encode()

    async def is_stored() -> bool:
        reply = await admin.request(subject, question, timeout=WAIT_SECONDS)
        return bool(json.loads(reply.data)["is_kept"])

    await holds(is_stored)
    await admin.jetstream().purge_stream("EVENTS", subject=f"slipway.v1.event.job.{job}.>")


async def _bus(stack: RunningStack, user: str) -> Client:
    key = stack.data / "identities" / f"{user}.nk"
    return await nats.connect(stack.endpoints["nats"], nkeys_seed=str(key), inbox_prefix=f"_INBOX_{user}")


async def _until_logged(api: httpx.AsyncClient, job: str, text: str) -> None:
    async with asyncio.timeout(WAIT_SECONDS), api.stream("GET", f"/api/v1/jobs/{job}/events") as answer:
        async for line in answer.aiter_lines():
            if text in line:
                return


def _kill(stack: RunningStack) -> None:
    pids = stack.endpoints["pids"].values()
    stack.process.kill()
    stack.process.wait()
    os.kill(stack.endpoints["pids"]["provisioner"], signal.SIGKILL)
    asyncio.run(until(lambda: not any(lives(pid) for pid in pids)))


async def _release(stack: RunningStack, left: Left) -> None:
    """Let the jobs go on that wait; they still do."""
    async with stack.client() as api:
        for name in ("batch", "snapshot"):
            waiting = (await api.get(f"/api/v1/jobs/{left.jobs[name]}")).json()
            assert waiting["finished_at"] is None, waiting
        assert (await api.delete(MAINTENANCE)).is_success


async def _keyed(
    api: httpx.AsyncClient, path: str, body: dict[str, Any], key: str | None = None
) -> dict[str, Any]:
    headers = {"Idempotency-Key": key or secrets.token_hex(8)}
    response = await api.post(f"/api/v1/{path}", json=body, headers=headers)
    assert response.status_code == httpx.codes.ACCEPTED, response.text
    accepted: dict[str, Any] = response.json()
    return accepted


async def _credentials(api: httpx.AsyncClient, container: dict[str, Any]) -> dict[str, str]:
    path = f"/api/v1/containers/{container['id']}/credentials"
    return {
        each["name"]: (await api.post(f"{path}/{each['id']}/reveal")).json()["value"]
        for each in container["credentials"]
    }


async def _snapshots(api: httpx.AsyncClient, container: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get(f"/api/v1/containers/{container['id']}/snapshots")).json()[
        "items"
    ]
    return items


async def _audit(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get("/api/v1/audit", params={"limit": 1000})).json()["items"]
    return items


async def _letters(api: httpx.AsyncClient, path: str = "dead-letters") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get(f"/api/v1/{path}")).json()["items"]
    return items
