"""What a host keeps of a container, and what keeps a container: lists, retries, protection."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from chaos.host import Host

from slipway.lab.faults import ApiError, HaManaged, LostAnswer, StorageFull, WorkerKilled
from support.stack import RunningStack, create, done, job_events, messages


@pytest.fixture
async def host(stack: RunningStack) -> AsyncIterator[Host]:
    """The lab, whose faults end with the test."""
    host = Host(stack.data)
    yield host
    await host.clear()
    await host.aclose()


@pytest.fixture
async def container(api: httpx.AsyncClient) -> dict[str, Any]:
    """A container that runs."""
    accepted = await create(api, template="debian-base", hostname=f"keeps-{secrets.token_hex(3)}")
    assert (await job_events(api, accepted["job"]["id"]))[-1].content["state"] == "succeeded"
    body: dict[str, Any] = (await api.get(f"/api/v1/containers/{accepted['container']['id']}")).json()
    return body


async def test_lists(api: httpx.AsyncClient, container: dict[str, Any]) -> None:
    """Snapshots and backups are listed as Proxmox has them; a container that is unknown is a 404."""
    path = f"containers/{container['id']}"
    empty = [(await api.get(f"/api/v1/{path}/{what}")).json()["items"] for what in ("snapshots", "backups")]
    await done(api, f"{path}/snapshot", {"snapshot": "first", "description": "a try"})
    await done(api, f"{path}/snapshot", {"snapshot": "second"})
    made = await done(api, f"{path}/backup", {"description": "before the change"})

    snapshots = (await api.get(f"/api/v1/{path}/snapshots")).json()["items"]
    backups = (await api.get(f"/api/v1/{path}/backups")).json()
    unknown = await api.get("/api/v1/containers/nobody/backups")

    assert empty == [[], []]
    assert [(each["name"], each["parent"]) for each in snapshots] == [("first", None), ("second", "first")]
    assert snapshots[0]["description"] == "a try"
    [backup] = backups["items"]
    assert backup["volume"] in messages(made)
    assert (backup["notes"], backup["size_bytes"] > 0) == ("before the change", True)
    assert backups["unread"] == []
    assert unknown.status_code == httpx.codes.NOT_FOUND


async def test_lists_without_the_node(host: Host, api: httpx.AsyncClient, ready: dict[str, Any]) -> None:
    """While the node is away a list is a 503 that names it, never an empty list."""
    await host.order(ApiError(method="GET", path="/nodes/*/lxc/*/snapshot", status=595, times=None))

    answer = await api.get(f"/api/v1/containers/{ready['id']}/snapshots")

    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
    assert answer.json()["code"] == "proxmox.unreachable"
    assert answer.headers["Retry-After"]


async def test_protection(api: httpx.AsyncClient, container: dict[str, Any]) -> None:
    """What is protected is neither deleted nor replaced, and goes on running; without it, it is deleted."""
    path = f"containers/{container['id']}"
    made = await done(api, f"{path}/backup")
    volume = next(text for text in messages(made) if text and "vzdump" in text)
    await done(api, f"{path}/configure", {"protection": True})

    refused = await api.delete(f"/api/v1/{path}")
    restore = (await api.post(f"/api/v1/{path}/restore", json={"backup": volume})).json()
    replaced = await job_events(api, restore["job"]["id"])
    still = await done(api, f"{path}/start")
    await done(api, f"{path}/configure", {"protection": False})
    accepted = await api.delete(f"/api/v1/{path}")
    gone = await job_events(api, accepted.json()["job"]["id"])

    assert (refused.status_code, refused.json()["code"]) == (409, "container.protected")
    assert "configure" in refused.json()["message"]
    assert replaced[-1].content["error"]["code"] == "container.protected"
    assert "nothing to do" in messages(still) or "it runs already" in messages(still)
    assert gone[-1].content["state"] == "succeeded"


async def test_backup_whose_answer_was_lost(
    host: Host, api: httpx.AsyncClient, container: dict[str, Any]
) -> None:
    """It is looked for, not made twice, and its volume is reported."""
    path = f"containers/{container['id']}"
    before = (await api.get(f"/api/v1/{path}/backups")).json()["items"]
    await host.order(LostAnswer(method="POST", path="/nodes/*/vzdump"))

    made = await done(api, f"{path}/backup")

    stored = (await api.get(f"/api/v1/{path}/backups")).json()["items"]
    assert len(stored) == len(before) + 1
    assert stored[0]["volume"] in messages(made)


async def test_retry_of_a_killed_restore(
    host: Host, api: httpx.AsyncClient, container: dict[str, Any]
) -> None:
    """A restore whose worker dies again and again fails; after its retry the container runs and is ours."""
    path = f"containers/{container['id']}"
    made = await done(api, f"{path}/backup")
    volume = next(text for text in messages(made) if text and "vzdump" in text)
    await done(api, f"{path}/configure", {"searchdomain": "later.example"})
    await host.order(WorkerKilled(task="vzrestore", vmid=container["vmid"], times=2))

    asked = await api.post(f"/api/v1/{path}/restore", json={"backup": volume})
    failed = await job_events(api, asked.json()["job"]["id"])
    retried = await api.post(f"/api/v1/jobs/{asked.json()['job']['id']}/retry")
    events = await job_events(api, retried.json()["job"]["id"])
    again = await done(api, f"{path}/start")

    assert failed[-1].content["error"]["code"] == "proxmox.task-lost"
    assert events[-1].content["state"] == "succeeded", events[-1].text
    started = [
        each.content for each in events if each.kind == "step" and each.content["step"] == "restore.start"
    ]
    assert started[-1]["status"] == "finished"
    assert "it runs already" in messages(again)


async def test_retry_of_a_failed_backup(
    host: Host, api: httpx.AsyncClient, container: dict[str, Any]
) -> None:
    """A backup on a full storage fails with vzdump's own cause; its retry succeeds."""
    path = f"containers/{container['id']}"
    full = await host.order(StorageFull(storage="*"))

    asked = await api.post(f"/api/v1/{path}/backup", json={})
    failed = await job_events(api, asked.json()["job"]["id"])
    await host.clear(full)
    retried = await api.post(f"/api/v1/jobs/{asked.json()['job']['id']}/retry")
    events = await job_events(api, retried.json()["job"]["id"])

    assert "No space left on device" in failed[-1].content["error"]["message"]
    assert events[-1].content["state"] == "succeeded", events[-1].text


async def test_ha(host: Host, api: httpx.AsyncClient, container: dict[str, Any]) -> None:
    """Of a guest in HA the job ends when the guest is so, not when HA was asked; a deletion takes it out."""
    path = f"containers/{container['id']}"
    await host.order(HaManaged(vmid=container["vmid"]))

    asks = (await api.post(f"/api/v1/{path}/stop?plan=true")).json()["warnings"]
    purges = (await api.delete(f"/api/v1/{path}?plan=true")).json()["warnings"]
    stopped = await done(api, f"{path}/stop")
    idle = await done(api, f"{path}/stop")
    started = await done(api, f"{path}/start")
    shut = await done(api, f"{path}/shutdown")
    again = await done(api, f"{path}/shutdown")
    accepted = await api.delete(f"/api/v1/{path}")
    gone = await job_events(api, accepted.json()["job"]["id"])

    assert any("waits until HA has done it" in each for each in asks)
    assert any("(purge)" in each for each in purges)
    for each, task in ((stopped, "hastop"), (started, "hastart"), (shut, "hastop")):
        job = (await api.get(f"/api/v1/jobs/{each[-1].content['id']}")).json()
        upids = [step["facts"]["upid"] for step in job["steps"] if "upid" in step["facts"]]
        assert [upid.split(":")[5] for upid in upids] == [task]
    assert "nothing to do" in messages(idle)
    assert "nothing to do" in messages(again)
    assert gone[-1].content["state"] == "succeeded"
    assert "taken out of HA as well (purge)" in messages(gone)


@pytest.mark.parametrize(
    "volume",
    [
        "local:backup/vzdump-lxc-99999-2026_01_01-00_00_00.tar.zst",
        "pbs:backup/ct/99999/2026-01-01T00:00:00Z",
    ],
)
async def test_a_backup_of_another_one_is_refused(
    api: httpx.AsyncClient, ready: dict[str, Any], volume: str
) -> None:
    """No job is made, and the answer says whose backup it is."""
    answer = await api.post(f"/api/v1/containers/{ready['id']}/restore", json={"backup": volume})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "args.backup")
    assert "a backup of VMID 99999" in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"mounts": [{"storage": "/etc", "path": "/x"}]}, "args.mounts.0.storage"),
        ({"devices": ["/dev/kvm"]}, "args.devices"),
        ({"hookscript": "local:snippets/x"}, "args.hookscript"),
        ({"features": {"mknod": True}}, "args.features.mknod"),
    ],
)
async def test_restricted_keys_need_an_admin(
    api: httpx.AsyncClient, ready: dict[str, Any], body: dict[str, Any], field: str
) -> None:
    """Unless the cluster allows it none of them is accepted, and the answer says how that is done."""
    answer = await api.post(f"/api/v1/containers/{ready['id']}/configure", json=body)

    assert (answer.status_code, answer.json()["code"]) == (403, "restricted-key.forbidden")
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    assert "slipway cluster limits set" in answer.json()["message"]
