"""A cluster's guests stay in reach while the node that was given as its endpoint is down."""

import json
from pathlib import Path
from typing import Any

import httpx

from slipway.lab.faults import NodeDies
from support.command_line import slipway
from support.lab import cleared, lab_of, ordered, until
from support.stack import RunningStack, create, done, job_events


def lab_body(two: RunningStack) -> dict[str, Any]:
    """Describe the lab as it is reached by its second node."""
    access = json.loads((two.data / "lab" / "lab.json").read_text())
    return {
        "name": "again",
        "endpoint": access["endpoints"]["pve2"],
        "token_id": access["token_id"],
        "token_secret": Path(access["token_secret_file"]).read_text(),
        "tls_fingerprint": access["fingerprints"]["pve2"],
        "ssh": {"private_key": Path(access["ssh_private_key_file"]).read_text(), "nodes": access["nodes"]},
    }


async def nodes_of(api: httpx.AsyncClient) -> dict[str, bool]:
    """Return which nodes are online."""
    nodes = (await api.get("/api/v1/clusters/lab")).json()["nodes"]
    return {each["node"]: each["is_online"] for each in nodes}


async def test_the_other_nodes_guests_are_worked_on_while_the_endpoint_is_down(two: RunningStack) -> None:
    """Jobs there run as ever, what happens there is seen, and that the first node is away."""
    async with two.client() as api, lab_of(two.data) as lab:
        accepted = await create(api, hostname="there", node="pve2", template="debian-base")
        assert (await job_events(api, accepted["job"]["id"]))[-1].content["state"] == "succeeded"
        container = f"/api/v1/containers/{accepted['container']['id']}"
        await ordered(lab, NodeDies(node="pve1", noticed_after=1.0))

        await done(api, f"{container.removeprefix('/api/v1/')}/stop")

        async def is_seen() -> bool:
            is_stopped = (await api.get(container)).json()["power"] == "stopped"
            return is_stopped and not (await nodes_of(api))["pve1"]

        async def is_back() -> bool:
            return (await nodes_of(api))["pve1"]

        await until(is_seen)
        await cleared(lab)
        await until(is_back)


async def test_a_cluster_that_was_taken_out_and_added_again_has_its_containers(two: RunningStack) -> None:
    """By another node's address and under another name; jobs work on them as before."""
    async with two.client() as api, lab_of(two.data):
        accepted = await create(api, hostname="stays", node="pve2", template="debian-base")
        assert (await job_events(api, accepted["job"]["id"]))[-1].content["state"] == "succeeded"
        container = f"/api/v1/containers/{accepted['container']['id']}"
        body = lab_body(two)

        plan = await api.delete("/api/v1/clusters/lab", params={"plan": "true"})
        shown = await slipway(two, "remove-cluster", "lab", "--plan")
        unasked = await slipway(two, "remove-cluster", "lab")
        removed = await api.delete("/api/v1/clusters/lab")
        gone = await slipway(two, "remove-cluster", "lab", "--yes")
        forgotten = (await api.get(container)).json()
        added = await api.post("/api/v1/clusters", json=body)

        assert plan.status_code == httpx.codes.OK, plan.text
        assert plan.json()["containers"] == removed.json()["containers"]
        assert (plan.json()["is_removed"], removed.json()["is_removed"]) == (False, True)
        assert (shown[0], "stays" in shown[1]) == (0, True), shown[1]
        assert (unasked[0], gone[0]) == (2, 0), (unasked[1], gone[1])
        assert forgotten["is_forgotten"]
        assert added.status_code == httpx.codes.CREATED, added.text

        async def is_back() -> bool:
            return not (await api.get(container)).json()["is_forgotten"]

        await until(is_back)
        await done(api, f"{container.removeprefix('/api/v1/')}/stop")
        assert (await api.get(container)).json()["cluster"] == "again"
