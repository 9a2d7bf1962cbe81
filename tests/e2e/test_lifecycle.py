"""Power, sizes and config of a container that exists; cancel; the queue of a node."""

import asyncio
import secrets
from typing import Any

import httpx
import pytest

from support.stack import create, done, job_events, messages


@pytest.fixture
async def container(api: httpx.AsyncClient) -> str:
    """The id of a container that runs."""
    accepted = await create(api, template="debian-base", hostname=f"life-{secrets.token_hex(3)}")
    assert (await job_events(api, accepted["job"]["id"]))[-1].content["state"] == "succeeded"
    container_id: str = accepted["container"]["id"]
    return container_id


async def test_power(api: httpx.AsyncClient, container: str) -> None:
    """Each verb reaches its goal; one that is reached already says that there is nothing to do."""
    path = f"containers/{container}"

    async def power() -> str:
        return str((await api.get(f"/api/v1/{path}")).json()["power"])

    assert await power() == "running"  # a done job has said so, not only the next look at the cluster
    again = await done(api, f"{path}/start")
    await done(api, f"{path}/shutdown", {"grace_seconds": 10})
    assert await power() == "stopped"
    stopped_again = await done(api, f"{path}/stop")
    restarted = await done(api, f"{path}/restart")
    assert await power() == "running"
    await done(api, f"{path}/restart")
    await done(api, f"{path}/stop")
    await done(api, f"{path}/start")

    assert "it runs already" in messages(again)
    assert "nothing to do" in messages(stopped_again)
    assert "it was stopped; it is started" in messages(restarted)


async def test_sizes_and_config(api: httpx.AsyncClient, container: str) -> None:
    """What is changed is on the host and in Slipway; Slipway's mark stays in the notes."""
    name = f"renamed-{secrets.token_hex(3)}"
    change = {"hostname": name, "tags": ["blue", "green"], "description": "mine", "onboot": True}

    await done(api, f"containers/{container}/resize", {"cores": 2, "memory": 768})
    await done(api, f"containers/{container}/configure", change)
    again = await done(api, f"containers/{container}/configure", {"description": "still mine"})
    nothing = await done(api, f"containers/{container}/resize", {"cores": 2})

    body = (await api.get(f"/api/v1/containers/{container}")).json()
    assert (body["hostname"], body["spec"]["cores"], body["spec"]["memory"]) == (name, 2, 768)
    assert "description" in messages(again)
    assert "nothing to do" in messages(nothing)
    deleted = await api.delete(f"/api/v1/containers/{container}")
    assert (await job_events(api, deleted.json()["job"]["id"]))[-1].content["state"] == "succeeded"


async def test_disk_grows_only(api: httpx.AsyncClient, container: str) -> None:
    """A root disk grows; it never shrinks, and that is said at once."""
    await done(api, f"containers/{container}/resize", {"disk": 6})

    answer = await api.post(f"/api/v1/containers/{container}/resize", json={"disk": 5})

    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, answer.text
    assert answer.json()["code"] == "disk.shrinks"
    assert [each["field"] for each in answer.json()["errors"]] == ["args.disk"]
    body = (await api.get(f"/api/v1/containers/{container}")).json()
    assert body["spec"]["disk"] == 6


async def test_snapshots(api: httpx.AsyncClient, container: str) -> None:
    """A snapshot is taken once, gone back to and deleted; one that is not there is named."""
    path = f"containers/{container}"

    await done(api, f"{path}/snapshot", {"snapshot": "before", "description": "a try"})
    again = await api.post(f"/api/v1/{path}/snapshot", json={"snapshot": "before"})
    planned = await api.post(f"/api/v1/{path}/snapshot?plan=true", json={"snapshot": "before"})
    back = await done(api, f"{path}/rollback", {"snapshot": "before"})
    await done(api, f"{path}/snapshot-delete", {"snapshot": "before"})
    answer = await api.post(f"/api/v1/{path}/rollback", json={"snapshot": "before"})
    events = await job_events(api, answer.json()["job"]["id"])

    for refused in (again, planned):
        assert (refused.status_code, refused.json()["code"]) == (409, "snapshot.exists")
        assert [each["field"] for each in refused.json()["errors"]] == ["args.snapshot"]
    assert "it is stopped now, as Proxmox leaves it" in messages(back)
    assert (events[-1].content["state"], events[-1].content["error"]["code"]) == (
        "failed",
        "snapshot.not-found",
    )


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("start", {"cores": 2}, "args.cores"),
        ("resize", {}, "args"),
        ("resize", {"memory": 1}, "args.memory"),
        ("resize", {"disk": -1}, "args.disk"),
        ("snapshot", {}, "args.snapshot"),
        ("rollback", {"snapshot": "current"}, "args.snapshot"),
        ("configure", {"hostname": "a b"}, "args.hostname"),
        ("configure", {"tags": ["a;b"]}, "args.tags.0"),
        ("shutdown", {"grace_seconds": -1}, "args.grace_seconds"),
        ("shutdown", {"grace": 1}, "grace"),
    ],
)
async def test_wrong_arguments(
    api: httpx.AsyncClient, ready: dict[str, Any], verb: str, body: dict[str, Any], field: str
) -> None:
    """A wrong argument is named, and no job is made."""
    answer = await api.post(f"/api/v1/containers/{ready['id']}/{verb}", json=body)

    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert field in [each["field"] for each in answer.json()["errors"]], answer.text


async def test_cancel_ends_a_script(api: httpx.AsyncClient) -> None:
    """A cancelled script is gone at once, its job says so, and a second job may follow."""
    accepted = await create(api, template="counting", hostname=f"stop-{secrets.token_hex(3)}")
    job = accepted["job"]["id"]
    await asyncio.wait_for(_begun(api, job, "number 100"), 60)

    busy = await api.post(f"/api/v1/containers/{accepted['container']['id']}/stop")
    answer = await api.post(f"/api/v1/jobs/{job}/cancel")
    events = await asyncio.wait_for(job_events(api, job), 20)
    late = await api.post(f"/api/v1/jobs/{job}/cancel")

    assert (busy.status_code, busy.json()["code"]) == (httpx.codes.CONFLICT, "job.active")
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    assert events[-1].content["state"] == "cancelled"
    assert "number 2000" not in events[-2].text
    assert (late.status_code, late.json()["code"]) == (httpx.codes.CONFLICT, "job.ended")
    await done(api, f"containers/{accepted['container']['id']}/stop")


async def test_deleted_while_it_is_created(api: httpx.AsyncClient) -> None:
    """A deletion during a creation is refused with what can be done, and done as one job if wished."""
    name = f"halt-{secrets.token_hex(3)}"
    accepted = await create(api, template="counting", hostname=name)
    job, path = accepted["job"]["id"], f"/api/v1/containers/{accepted['container']['id']}"
    await asyncio.wait_for(_begun(api, job, "number 100"), 60)

    refused = await api.delete(path)
    answer = await api.delete(path, params={"cancel": "true"})
    events = await asyncio.wait_for(job_events(api, job), 30)

    assert (refused.status_code, refused.json()["code"]) == (httpx.codes.CONFLICT, "job.active")
    assert f"{path}?cancel=true" in refused.json()["detail"]
    assert (answer.status_code, answer.json()["job"]["id"]) == (httpx.codes.ACCEPTED, job), answer.text
    assert events[-1].content["state"] == "cancelled"
    assert (await api.get(path)).json()["lifecycle"] == "deleted"
    again = await create(api, template="debian-base", hostname=name, vmid=accepted["container"]["vmid"])
    assert (await job_events(api, again["job"]["id"]))[-1].content["state"] == "succeeded"


async def test_destroy_is_for_what_a_job_makes(api: httpx.AsyncClient, container: str) -> None:
    """A cancel of anything else destroys nothing."""
    stopped = await api.post(f"/api/v1/containers/{container}/stop")

    answer = await api.post(f"/api/v1/jobs/{stopped.json()['job']['id']}/cancel", params={"destroy": "true"})

    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert [each["field"] for each in answer.json()["errors"]] == ["destroy"]
    assert (await job_events(api, stopped.json()["job"]["id"]))[-1].content["state"] == "succeeded"


async def test_node_in_maintenance(api: httpx.AsyncClient) -> None:
    """While it is on, jobs wait with their position; a waiting one can be cancelled; then the rest begins."""
    maintenance = "/api/v1/clusters/lab/nodes/lab/maintenance"
    emptied = (await api.put(maintenance)).json()
    waiting = [
        await create(api, template="debian-base", hostname=f"wait-{n}-{secrets.token_hex(2)}") for n in (1, 2)
    ]
    jobs = [(await api.get(f"/api/v1/jobs/{each['job']['id']}")).json() for each in waiting]
    cancelled = await api.post(f"/api/v1/jobs/{jobs[0]['id']}/cancel")
    ended = await asyncio.wait_for(job_events(api, jobs[0]["id"]), 20)
    active = (await api.delete(maintenance)).json()

    assert (emptied["in_maintenance"], active["in_maintenance"]) == (["lab"], [])
    assert [(each["position"], each["waits_for"]) for each in jobs] == [
        (0, "maintenance"),
        (1, "maintenance"),
    ]
    assert cancelled.status_code == httpx.codes.ACCEPTED
    assert ended[-1].content["state"] == "cancelled"
    assert (await job_events(api, jobs[1]["id"]))[-1].content["state"] == "succeeded"
    gone = (await api.get(f"/api/v1/containers/{waiting[0]['container']['id']}")).json()
    assert gone["lifecycle"] == "deleted"


async def _begun(api: httpx.AsyncClient, job: str, word: str) -> None:
    async with api.stream("GET", f"/api/v1/jobs/{job}/events") as answer:
        async for line in answer.aiter_lines():
            if word in line:
                return
