"""Backup, total loss, restore into an empty folder: the same Slipway, which acts when it is told to.

The lab is a process of its own that lives through it, as a Proxmox host does.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from slipway.standalone.embedded.shared import remove_place
from support.command_line import slipway
from support.lab import lab_of
from support.lab import until as holds
from support.older_build import cluster_of, lab_beside
from support.stack import SLIPWAY, RunningStack, create, job_events, running_stack, stack_folder
from support.waiting import lives, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
MOST_SECONDS = 300
"""How long a restore and the start after it may take, with the machine's other work."""


@dataclass
class Lost:
    """What was there before the loss."""

    containers: list[dict[str, Any]]
    jobs: list[dict[str, Any]]
    audit: list[dict[str, Any]]
    password: str
    delete: str
    """A deletion that was accepted, and that nobody had begun."""
    stop: str
    """A stop that stood beside it."""
    restored_seconds: float = 0.0


@pytest.fixture(scope="module")
def restored() -> Iterator[tuple[RunningStack, Lost]]:
    """Another folder under a new Slipway, restored from the backup of one that is gone."""
    with stack_folder() as data, lab_beside(data.parent):
        keys, file = data.parent / "keys.json", data.parent / "one.slipway"
        with running_stack(data=data) as stack:
            lost = asyncio.run(_work(stack))
            _slipway("backup", str(file), "--keys", str(keys), "--data", str(data))
            _lose(stack)
        began, again = time.monotonic(), data.with_name("again")
        _slipway("restore", str(file), "--keys", str(keys), "--data", str(again))
        try:
            with running_stack(data=again) as stack:
                lost.restored_seconds = time.monotonic() - began
                yield stack, lost
        finally:
            remove_place(again)


@pytest.fixture
async def api(restored: tuple[RunningStack, Lost]) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client of the restored Slipway."""
    async with restored[0].client() as client:
        yield client


async def test_everything_is_there(restored: tuple[RunningStack, Lost], api: httpx.AsyncClient) -> None:
    """Containers, jobs, audit and secrets are those of before, soon enough."""
    lost = restored[1]

    containers = await _items(api, "containers")

    assert [each["id"] for each in containers] == [each["id"] for each in lost.containers]
    assert [each["id"] for each in await _items(api, "jobs")] == [each["id"] for each in lost.jobs]
    assert {each["id"] for each in await _items(api, "audit")} >= {each["id"] for each in lost.audit}
    assert await _password(api, lost.containers[0]["id"]) == lost.password
    assert lost.restored_seconds < MOST_SECONDS


def test_keys_are_apart(restored: tuple[RunningStack, Lost]) -> None:
    """Nothing of the key ring is in the backup; only the owner reads either file."""
    folder = restored[0].data.parent
    backup, keys = folder / "one.slipway", folder / "keys.json"

    secrets = json.loads(keys.read_text())["keys"].values()

    assert secrets
    assert not any(secret.encode() in backup.read_bytes() for secret in secrets)
    assert [each.stat().st_mode & 0o777 for each in (backup, keys)] == [0o600, 0o600]


async def test_it_is_paused(restored: tuple[RunningStack, Lost], api: httpx.AsyncClient) -> None:
    """It answers and changes nothing, and says so: in refusals, in readiness, in the command line."""
    path = f"/api/v1/containers/{restored[1].containers[0]['id']}/restart"

    refused = await api.post(path)
    ready = (await api.get("/readyz")).json()
    status, shown = await slipway(restored[0], "installation", "show")
    started = (restored[0].data.parent / "up.log").read_text()

    assert (refused.status_code, refused.json()["code"]) == (409, "installation.paused")
    assert "slipway resume" in refused.json()["detail"]
    assert "installation.paused" in ready["degraded"]
    assert (status, "paused" in shown, "Slipway is PAUSED" in started) == (0, True, True)
    states = {each["id"]: each["state"] for each in await _items(api, "jobs")}
    assert (states[restored[1].delete], states[restored[1].stop]) == ("queued", "queued")


async def test_old_jobs_do_not_run(restored: tuple[RunningStack, Lost], api: httpx.AsyncClient) -> None:
    """A resume shows what would run, cancels it and touches no host; what is named runs."""
    stack, lost = restored

    async def is_seen() -> bool:
        return not (await api.get("/api/v1/installation/difference")).json()["unseen_clusters"]

    await holds(is_seen)
    plan = (await api.get("/api/v1/installation/difference")).json()
    confirm = ("--hash", plan["hash"], "--keep", lost.stop)
    status, output = await slipway(stack, "resume", *confirm)
    assert status == 0, output
    assert await slipway(stack, "resume") == (0, "Slipway is active: there is nothing to resume.\n")
    stopped = (await job_events(api, lost.stop))[-1].content
    dropped = (await job_events(api, lost.delete))[-1].content

    assert {each["id"] for each in plan["jobs"]} == {lost.delete, lost.stop}
    assert (stopped["state"], dropped["state"]) == ("succeeded", "cancelled")
    assert dropped["error"]["code"] == "job.dropped"
    async with lab_of(stack.data.parent) as lab:
        guests = (await lab.get("/nodes/lab/lxc")).json()["data"]
    powers = {each["name"]: each["status"] for each in guests}
    assert powers == {"doomed": "running", "halted": "stopped"}


async def _work(stack: RunningStack) -> Lost:
    """Create two containers, and leave a deletion and a stop that the provisioner never takes."""
    async with stack.client() as api:
        added = await api.post("/api/v1/clusters", json=cluster_of(stack.data.parent))
        assert added.is_success, added.text

        async def knows_storages() -> bool:
            return any(each["storages"] for each in (await api.get("/api/v1/clusters/lab")).json()["nodes"])

        await holds(knows_storages)
        made = [await create(api, template="debian-base", hostname=name) for name in ("doomed", "halted")]
        for each in made:
            assert (await job_events(api, each["job"]["id"]))[-1].content["state"] == "succeeded"
        doomed, halted = (each["container"]["id"] for each in made)
        os.kill(stack.endpoints["pids"]["provisioner"], signal.SIGSTOP)
        stop = (await api.post(f"/api/v1/containers/{halted}/stop")).json()["job"]["id"]
        delete = (await api.delete(f"/api/v1/containers/{doomed}")).json()["job"]["id"]
        return Lost(
            containers=await _items(api, "containers"),
            jobs=await _items(api, "jobs"),
            audit=await _items(api, "audit"),
            password=await _password(api, (await _items(api, "containers"))[0]["id"]),
            delete=delete,
            stop=stop,
        )


def _lose(stack: RunningStack) -> None:
    """Kill all of it, the frozen part too, and remove its folder with what root keeps for it elsewhere."""
    pids = stack.endpoints["pids"].values()
    provisioner = stack.endpoints["pids"]["provisioner"]
    stack.process.kill()
    stack.process.wait()
    os.kill(provisioner, signal.SIGKILL)
    asyncio.run(until(lambda: not any(lives(pid) for pid in pids)))
    remove_place(stack.data)
    shutil.rmtree(stack.data)


def _slipway(*arguments: str) -> None:
    done = subprocess.run([*SLIPWAY, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


async def _items(api: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get(f"/api/v1/{path}")).json()["items"]
    return items


async def _password(api: httpx.AsyncClient, container: str) -> str:
    path = f"/api/v1/containers/{container}"
    (credential,) = (await api.get(path)).json()["credentials"]
    answer = await api.post(f"{path}/credentials/{credential['id']}/reveal")
    assert answer.is_success, answer.text
    return str(answer.json()["value"])
