"""Containers on a cluster of two nodes: chosen nodes, moves, a worker that dies in one, and limits."""

import asyncio
import itertools
import os
import secrets
import signal
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from slipway.lab.faults import HaManaged, LostAnswer, NodeOffline, TaskHangs
from slipway.lab.faults.scope import Point
from support.lab import cleared, ended, homes_of, lab_of, ordered, tasks_on
from support.stack import RunningStack, create, done, job_events, messages
from support.waiting import until

NODES = ("pve1", "pve2")
WAIT_SECONDS = 30.0
NODE_CREATIONS = 2
"""What the settings allow one node at a time."""


@pytest.fixture
async def api(two: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the first user's rights."""
    async with two.client() as client:
        yield client


@pytest.fixture
async def lab(two: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """The lab itself, as root."""
    async with lab_of(two.data) as client:
        yield client


async def made(api: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """Create a container and wait until it is ready."""
    name = f"move-{secrets.token_hex(3)}"
    accepted = await create(api, template="debian-base", hostname=name, **body)
    events = await job_events(api, accepted["job"]["id"])
    assert events[-1].content["state"] == "succeeded", events[-1].text
    return await shown(api, accepted["container"]["id"])


async def shown(api: httpx.AsyncClient, container: str) -> dict[str, Any]:
    """Show a container."""
    body: dict[str, Any] = (await api.get(f"/api/v1/containers/{container}")).json()
    return body


async def shown_on(api: httpx.AsyncClient, container: str, node: str, power: str) -> dict[str, Any]:
    """Wait until the page's data show a container on a node, in a state."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            now = await shown(api, container)
            if (now["node"], now["power"]) == (node, power):
                return now
            await asyncio.sleep(0.1)


async def until_it_is_moved(lab: httpx.AsyncClient, node: str, vmid: int) -> None:
    """Wait until a move of the VMID runs, and it is on that node while it does."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            moves = await tasks_on(lab, "pve1", "vzmigrate", vmid=str(vmid))
            runs = any(each["status"] == "RUNNING" for each in moves)
            if runs and [at for at, _ in await homes_of(lab, vmid)] == [node]:
                return
            await asyncio.sleep(0.1)


async def test_created_where_it_was_asked_for(api: httpx.AsyncClient, lab: httpx.AsyncClient) -> None:
    """Each of the nodes makes what is wanted of it; without a wish one of them is chosen."""
    wished = [await made(api, node=node) for node in NODES]
    free = await made(api)

    assert [each["node"] for each in wished] == list(NODES)
    for each in (*wished, free):
        assert await homes_of(lab, each["vmid"]) == [(each["node"], "running")]


async def test_running_one_moves(api: httpx.AsyncClient, lab: httpx.AsyncClient) -> None:
    """The plan names the restart; what comes after the move happens on the new node."""
    container = await made(api, node="pve1")
    path = f"containers/{container['id']}"

    plan = (await api.post(f"/api/v1/{path}/migrate?plan=true", json={"target_node": "pve2"})).json()
    events = await done(api, f"{path}/migrate", {"target_node": "pve2"})
    after = await shown_on(api, container["id"], "pve2", "running")
    there = await homes_of(lab, container["vmid"])
    await done(api, f"{path}/stop")
    stopped = await homes_of(lab, container["vmid"])
    await done(api, f"{path}/start")
    started = await homes_of(lab, container["vmid"])

    assert any("It runs" in each for each in plan["warnings"]), plan
    assert "it is on pve2 now" in messages(events)
    assert (after["vmid"], after["lifecycle"]) == (container["vmid"], "ready")
    assert there == started == [("pve2", "running")]
    assert stopped == [("pve2", "stopped")]


async def test_stopped_one_moves(api: httpx.AsyncClient, lab: httpx.AsyncClient) -> None:
    """It is there, and stays stopped; a second wish finds nothing to do; it goes back as well."""
    container = await made(api, node="pve2")
    path = f"containers/{container['id']}"
    await done(api, f"{path}/stop")

    await done(api, f"{path}/migrate", {"target_node": "pve1"})
    await shown_on(api, container["id"], "pve1", "stopped")
    there = await homes_of(lab, container["vmid"])
    again = await done(api, f"{path}/migrate", {"target_node": "pve1"})
    await done(api, f"{path}/migrate", {"target_node": "pve2"})
    back = await homes_of(lab, container["vmid"])

    assert there == [("pve1", "stopped")]
    assert messages(again)[:2] == ["it is there already", "nothing to do"]
    assert back == [("pve2", "stopped")]


async def test_moved_while_its_deletion_waits(api: httpx.AsyncClient, lab: httpx.AsyncClient) -> None:
    """A deletion finds what others moved meanwhile: it never calls gone what lives elsewhere."""
    container = await made(api, node="pve1")
    vmid, maintenance = container["vmid"], "/api/v1/clusters/lab/nodes/pve1/maintenance"
    assert (await api.put(maintenance)).is_success
    deletion = (await api.delete(f"/api/v1/containers/{container['id']}")).json()["job"]["id"]
    moving = {"target": "pve2", "restart": "1"}
    task = (await lab.post(f"/nodes/pve1/lxc/{vmid}/migrate", data=moving)).json()["data"]
    assert await ended(lab, task) == "OK"
    assert await homes_of(lab, vmid) == [("pve2", "running")]

    assert (await api.delete(maintenance)).is_success
    events = await job_events(api, deletion)

    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert "gone already" not in str(messages(events))
    assert await homes_of(lab, vmid) == []


async def test_where_it_can_not_go(api: httpx.AsyncClient, lab: httpx.AsyncClient) -> None:
    """An unknown node and one without the storage are refused with the field's name; nothing moves."""
    container = await made(api, node="pve1", storage="fast")
    path = f"/api/v1/containers/{container['id']}/migrate"

    unknown = await api.post(path, json={"target_node": "pve9"})
    lacking = await api.post(path, json={"target_node": "pve2"})
    elsewhere = await api.post(path, json={"target_node": "pve2", "storage": "backup"})
    here = await homes_of(lab, container["vmid"])

    for answer, word in ((unknown, "pve9"), (lacking, "fast")):
        assert 400 <= answer.status_code < 500, answer.text
        fault = answer.json()["errors"][0]
        assert (fault["field"], word in fault["message"]) == ("args.target_node", True), answer.text
    assert elsewhere.json()["errors"][0]["field"] == "args.storage", elsewhere.text
    assert here == [("pve1", "running")]


async def test_moved_to_another_storage(api: httpx.AsyncClient, lab: httpx.AsyncClient) -> None:
    """What only its own node has goes to the named storage, and is known to be there."""
    volume = {"storage": "fast", "size": 1, "path": "/srv/data"}
    container = await made(api, node="pve1", storage="fast", mounts=[volume])
    path = f"containers/{container['id']}"

    await done(api, f"{path}/migrate", {"target_node": "pve2", "storage": "local-lvm"})

    config = (await lab.get(f"/nodes/pve2/lxc/{container['vmid']}/config")).json()["data"]
    assert [config[disk].partition(":")[0] for disk in ("rootfs", "mp0")] == ["local-lvm"] * 2
    spec = (await shown_on(api, container["id"], "pve2", "running"))["spec"]
    assert (spec["storage"], spec["mounts"][0]["storage"]) == ("local-lvm", "local-lvm")


async def test_refused_by_proxmox(api: httpx.AsyncClient, lab: httpx.AsyncClient) -> None:
    """The cause from the task's log is reported, and the container works where it was."""
    container = await made(api, node="pve1", storage="local-lvm")
    path = f"containers/{container['id']}"
    await done(api, f"{path}/snapshot", {"snapshot": "before"})

    answer = await api.post(f"/api/v1/{path}/migrate", json={"target_node": "pve2"})
    events = await job_events(api, answer.json()["job"]["id"])
    here = await homes_of(lab, container["vmid"])
    after = await shown(api, container["id"])

    error = events[-1].content["error"]
    assert error["code"] == "container.move-failed"
    assert "non-migratable snapshot exists" in error["message"], error
    assert "the container is on pve1" in error["message"], error
    assert (here, after["node"]) == ([("pve1", "running")], "pve1")


@pytest.mark.slow
@pytest.mark.parametrize(("at", "node"), [("middle", "pve1"), ("end", "pve2")])
async def test_worker_killed_in_a_move(
    two: RunningStack, api: httpx.AsyncClient, lab: httpx.AsyncClient, at: Point, node: str
) -> None:
    """The next worker waits for the move that was begun, wherever the container is by then."""
    container = await made(api, node="pve1")
    vmid = container["vmid"]
    await ordered(lab, TaskHangs(task="vzmigrate", vmid=vmid, at=at, seconds=8))

    answer = await api.post(f"/api/v1/containers/{container['id']}/migrate", json={"target_node": "pve2"})
    await until_it_is_moved(lab, node, vmid)
    os.kill(two.endpoints["pids"]["provisioner"], signal.SIGKILL)
    events = await job_events(api, answer.json()["job"]["id"])
    moves = await tasks_on(lab, "pve1", "vzmigrate", vmid=str(vmid))
    after = await shown_on(api, container["id"], "pve2", "running")

    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert "it is on pve2 now" in messages(events)
    assert await homes_of(lab, vmid) == [("pve2", "running")]
    assert [each["status"] for each in moves] == ["OK"]
    assert after["job"] is None


async def test_moved_by_someone_else(api: httpx.AsyncClient, lab: httpx.AsyncClient) -> None:
    """What was moved in Proxmox itself is found where it is, and jobs go there."""
    container = await made(api, node="pve1")

    parameters = {"target": "pve2", "restart": "1"}
    answer = await lab.post(f"/nodes/pve1/lxc/{container['vmid']}/migrate", data=parameters)
    assert await ended(lab, answer.json()["data"]) == "OK"
    await shown_on(api, container["id"], "pve2", "running")
    await done(api, f"containers/{container['id']}/stop")

    assert await homes_of(lab, container["vmid"]) == [("pve2", "stopped")]


async def test_creation_avoids_maintenance(two: RunningStack, api: httpx.AsyncClient) -> None:
    """With one node in maintenance a creation without a wish is made on the other."""
    made_on = []
    for node in NODES:
        maintenance = f"/api/v1/clusters/lab/nodes/{node}/maintenance"
        await api.put(maintenance)
        try:
            made_on.append((await made(api))["node"])
        finally:
            await api.delete(maintenance)

    assert made_on == ["pve2", "pve1"]


async def test_creation_goes_where_the_storage_is(api: httpx.AsyncClient) -> None:
    """Without a wish for a node, one is chosen that has the wanted storage."""
    assert (await made(api, storage="fast"))["node"] == "pve1"


async def test_batch_is_spread(api: httpx.AsyncClient) -> None:
    """Containers that are asked for together share the nodes."""
    body = {"hostname": "spread", "template": "debian-base", "count": 4}
    asked = await api.post("/api/v1/containers", json=body)
    assert asked.status_code == httpx.codes.ACCEPTED, asked.text

    events = await job_events(api, asked.json()["job"]["id"])

    assert events[-1].content["state"] == "succeeded", events[-1].text
    items = (await api.get("/api/v1/containers", params={"q": "spread-"})).json()["items"]
    assert {each["node"] for each in items} == set(NODES)


async def online(api: httpx.AsyncClient, *names: str) -> None:
    """Wait until these nodes and no others are known to be online, and to be usable."""

    async def are_they() -> bool:
        nodes = (await api.get("/api/v1/clusters/lab")).json()["nodes"]
        shown = [{each["node"] for each in nodes if each[fact]} for fact in ("is_online", "is_ssh_usable")]
        return shown == [set(names), set(names)]

    await until(are_they, within_seconds=WAIT_SECONDS)


@pytest.mark.slow
async def test_node_that_is_away(api: httpx.AsyncClient, lab: httpx.AsyncClient) -> None:
    """What is asked of it gets the answer to come back later; what is not goes elsewhere; it comes back."""
    container = await made(api, node="pve1")
    path = f"/api/v1/containers/{container['id']}/migrate"
    await ordered(lab, NodeOffline(node="pve2"))
    try:
        await online(api, "pve1")
        moved = await api.post(path, json={"target_node": "pve2"})
        body = {"template": "debian-base", "hostname": "away", "node": "pve2"}
        wished = await api.post("/api/v1/containers", json=body)
        free = await made(api)
    finally:
        await cleared(lab)
    await online(api, *NODES)
    await done(api, f"containers/{container['id']}/migrate", {"target_node": "pve2"})

    for answer in (moved, wished):
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
        assert "pve2 is offline" in answer.text
    assert free["node"] == "pve1"
    assert await homes_of(lab, container["vmid"]) == [("pve2", "running")]


async def test_managed_by_ha(api: httpx.AsyncClient, lab: httpx.AsyncClient) -> None:
    """The manager is only asked, and the job waits until the container is there."""
    container = await made(api, node="pve1")
    vmid = container["vmid"]
    await ordered(lab, HaManaged(vmid=vmid))

    events = await done(api, f"containers/{container['id']}/migrate", {"target_node": "pve2"})
    asked = await tasks_on(lab, "pve1", "hamigrate", vmid=str(vmid))
    await shown_on(api, container["id"], "pve2", "running")

    assert "it is on pve2 now" in messages(events)
    assert [each["status"] for each in asked] == ["OK"]


@pytest.mark.slow
async def test_each_node_makes_so_many_at_a_time(api: httpx.AsyncClient, lab: httpx.AsyncClient) -> None:
    """By the lab's own record no node had more creations at a time than its limit; both worked at once."""
    name = f"limit{secrets.token_hex(2)}"
    hold = TaskHangs(task="vzcreate", seconds=2, times=None)
    await ordered(lab, hold)
    try:
        batches = [
            await create(api, template="debian-base", hostname=f"{name}-{node}", node=node, count=5)
            for node in NODES
        ]
        job_logs = await asyncio.gather(*(job_events(api, each["job"]["id"]) for each in batches))
    finally:
        await cleared(lab)
    spans = {node: await creations(lab, node, name) for node in NODES}

    assert [events[-1].content["state"] for events in job_logs] == ["succeeded", "succeeded"]
    assert [len(spans[node]) for node in NODES] == [5, 5]
    assert [most_together(spans[node]) for node in NODES] == [NODE_CREATIONS, NODE_CREATIONS]
    assert most_together([*spans["pve1"], *spans["pve2"]]) > NODE_CREATIONS


async def creations(lab: httpx.AsyncClient, node: str, name: str) -> list[tuple[int, int]]:
    """Read from a node's tasks when each of the creations of a name began there and when its guest ran."""
    rows = (await lab.get(f"/nodes/{node}/lxc")).json()["data"]
    vmids = {str(row["vmid"]) for row in rows if row["name"].startswith(name)}
    begun = {each["id"]: each["starttime"] for each in await tasks_on(lab, node, "vzcreate")}
    ended = {each["id"]: each["endtime"] for each in await tasks_on(lab, node, "vzstart")}
    return [(begun[vmid], ended[vmid]) for vmid in vmids]


def most_together(spans: list[tuple[int, int]]) -> int:
    """Count how many spans there were at a time, at most.

    In whole seconds, and an end is before a beginning of the same second: what did not overlap never counts.
    """
    changes = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    return max(itertools.accumulate(change for _, change in changes))


async def test_copy_on_another_node(api: httpx.AsyncClient, lab: httpx.AsyncClient) -> None:
    """From a shared storage a copy is made for the other node, and works there."""
    container = await made(api, node="pve1", storage="shared")
    await done(api, f"containers/{container['id']}/stop")

    body = {"hostname": f"copy-{secrets.token_hex(3)}", "target_node": "pve2"}
    answer = await api.post(f"/api/v1/containers/{container['id']}/clone", json=body)
    events = await job_events(api, answer.json()["job"]["id"])
    copy = await shown(api, answer.json()["container"]["id"])
    await done(api, f"containers/{copy['id']}/start")

    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert copy["node"] == "pve2"
    assert await homes_of(lab, copy["vmid"]) == [("pve2", "running")]
    assert await homes_of(lab, container["vmid"]) == [("pve1", "stopped")]


async def test_copy_whose_answer_is_lost(api: httpx.AsyncClient, lab: httpx.AsyncClient) -> None:
    """The task on the source's node is found again, though the copy is for another one: there is one copy."""
    container = await made(api, node="pve1", storage="shared")
    await done(api, f"containers/{container['id']}/stop")
    await ordered(lab, LostAnswer(method="POST", path="/nodes/pve1/lxc/*/clone"))
    await ordered(lab, TaskHangs(task="vzclone", seconds=3))

    body = {"hostname": f"copy-{secrets.token_hex(3)}", "target_node": "pve2"}
    answer = await api.post(f"/api/v1/containers/{container['id']}/clone", json=body)
    events = await job_events(api, answer.json()["job"]["id"])
    copies = await tasks_on(lab, "pve1", "vzclone", vmid=str(container["vmid"]))

    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert [each["status"] for each in copies] == ["OK"]
    assert await homes_of(lab, answer.json()["container"]["vmid"]) == [("pve2", "stopped")]
