"""A node whose host key was not given becomes usable when somebody confirms it; not with any other key."""

import json
from pathlib import Path
from typing import Any

import httpx

from support.lab import homes_of, lab_of
from support.stack import RunningStack, create, job_events
from support.waiting import until

WAIT_SECONDS = 30.0
CLUSTER = "/api/v1/clusters/half"


def described(two: RunningStack) -> dict[str, Any]:
    """Describe the lab as a cluster of which only one node's key is known."""
    access = json.loads((two.data / "lab" / "lab.json").read_text())
    return {
        "name": "half",
        "endpoint": access["endpoint"],
        "token_id": access["token_id"],
        "token_secret": Path(access["token_secret_file"]).read_text(),
        "tls_fingerprint": access["fingerprint"],
        "ssh": {
            "private_key": Path(access["ssh_private_key_file"]).read_text(),
            "port": access["ssh_port"],
            "nodes": {"pve1": access["nodes"]["pve1"]},
        },
    }


async def usable(api: httpx.AsyncClient) -> set[str]:
    """Return the nodes that Slipway can use."""
    nodes = (await api.get(CLUSTER)).json()["nodes"]
    return {each["node"] for each in nodes if each["is_ssh_usable"]}


async def test_a_node_is_usable_once_its_key_is_confirmed(two: RunningStack) -> None:
    """It is tried before it is saved, audited, and used by monitor and provisioner from then on."""
    body = described(two)
    door = json.loads((two.data / "lab" / "lab.json").read_text())["nodes"]["pve2"]
    path = f"{CLUSTER}/nodes/pve2/host-key"
    async with two.client() as api, lab_of(two.data) as lab:
        twice = await api.post("/api/v1/clusters", json=body)
        assert (twice.status_code, "'lab'" in twice.text) == (httpx.codes.CONFLICT, True), twice.text
        await api.delete("/api/v1/clusters/lab")
        added = await api.post("/api/v1/clusters", json=body)
        assert added.status_code == httpx.codes.CREATED, added.text
        assert await usable(api) == {"pve1"}
        request_body = {"cluster": "half", "node": "pve2", "hostname": "early", "template": "debian-base"}
        early = await api.post("/api/v1/containers", json=request_body)

        wrong = await api.put(path, json={**door, "host_key": f"ssh-ed25519 {'A' * 68}"})
        nobody = await api.put(f"{CLUSTER}/nodes/pve9/host-key", json=door)
        still = await usable(api)
        right = await api.put(path, json=door)

        assert early.status_code == httpx.codes.SERVICE_UNAVAILABLE, early.text
        assert wrong.status_code == httpx.codes.UNPROCESSABLE_ENTITY, wrong.text
        assert [each["field"] for each in wrong.json()["errors"]] == ["host_key"]
        assert nobody.status_code == httpx.codes.NOT_FOUND, nobody.text
        assert (still, right.status_code) == ({"pve1"}, httpx.codes.OK), right.text
        assert await usable(api) == {"pve1", "pve2"}
        assert "pve2" not in right.json()["offered_host_keys"]
        accepted = await create(api, **{**request_body, "hostname": "late"})
        assert (await job_events(api, accepted["job"]["id"]))[-1].content["state"] == "succeeded"
        assert await homes_of(lab, accepted["container"]["vmid"]) == [("pve2", "running")]
        entries = (await api.get("/api/v1/audit")).json()["items"]
        assert "half/pve2" in {each["target"] for each in entries if each["action"] == "node.host-key"}
        await stays_usable(api, accepted["container"]["vmid"])


async def test_a_rotated_token_takes_the_place_of_the_old_one(two: RunningStack) -> None:
    """It is tried before it is saved: one that is not accepted changes nothing; the rest stays as it was."""
    access = json.loads((two.data / "lab" / "lab.json").read_text())
    other = {
        "token_id": access["root_token_id"],
        "token_secret": Path(access["root_token_secret_file"]).read_text(),
    }
    async with two.client() as api:
        before = (await api.get("/api/v1/clusters")).json()["items"][0]
        path = f"/api/v1/clusters/{before['name']}/access"

        wrong = await api.put(path, json={"token_secret": "not-the-secret"})
        bare = await api.put(path, json={"username": "root@pam"})
        right = await api.put(path, json=other)

        assert [each["field"] for each in wrong.json()["errors"]] == ["token_secret"], wrong.text
        assert [each["field"] for each in bare.json()["errors"]] == ["password"], bare.text
        assert right.status_code == httpx.codes.OK, right.text
        assert right.json()["token_id"] == access["root_token_id"] != before["token_id"]
        assert right.json()["tls_fingerprint"] == before["tls_fingerprint"]
        accepted = await create(api, cluster=before["name"], hostname="rotated", template="debian-base")
        assert (await job_events(api, accepted["job"]["id"]))[-1].content["state"] == "succeeded"


async def stays_usable(api: httpx.AsyncClient, vmid: int) -> None:
    """Wait until monitor has looked by itself since then: it reaches the node as well."""

    async def was_seen() -> bool:
        nodes = (await api.get(CLUSTER)).json()["nodes"]
        return all(vmid in each["vmids"] for each in nodes)

    await until(was_seen, within_seconds=WAIT_SECONDS)
    assert await usable(api) == {"pve1", "pve2"}
