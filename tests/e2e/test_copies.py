"""Backups, restores and clones, and the config that goes with them, as a user asks for them."""

import secrets
from typing import Any

import httpx
import pytest

from support.stack import create, done, job_events, messages


@pytest.fixture
async def container(api: httpx.AsyncClient) -> dict[str, Any]:
    """A container that runs."""
    accepted = await create(api, template="debian-base", hostname=f"stored-{secrets.token_hex(3)}")
    assert (await job_events(api, accepted["job"]["id"]))[-1].content["state"] == "succeeded"
    body: dict[str, Any] = (await api.get(f"/api/v1/containers/{accepted['container']['id']}")).json()
    return body


async def test_backup_and_restore(api: httpx.AsyncClient, container: dict[str, Any]) -> None:
    """A restore brings back what was backed up, runs again if it ran, and is still ours."""
    path = f"containers/{container['id']}"

    made = await done(api, f"{path}/backup", {"description": "before the change"})
    volume = next(text for text in messages(made) if text and "vzdump" in text)
    await done(api, f"{path}/configure", {"nameserver": "10.9.9.9"})
    back = await done(api, f"{path}/restore", {"backup": volume})
    after = await done(api, f"{path}/shutdown")
    missing = await api.post(f"/api/v1/{path}/restore", json={"backup": volume + "x"})
    log_of_missing = await job_events(api, missing.json()["job"]["id"])

    steps = [(each.content["step"], each.content["status"]) for each in back if each.kind == "step"]
    assert ("restore.stop", "finished") in steps
    assert ("restore.start", "finished") in steps
    assert after[-1].content["state"] == "succeeded"
    error = log_of_missing[-1].content["error"]
    assert (error["code"], error["errors"][0]["field"]) == ("backup.not-found", "args.backup")
    assert volume in error["message"]


async def test_clone_of_a_running_one(api: httpx.AsyncClient, container: dict[str, Any]) -> None:
    """A copy is a container of its own with the same passwords, and works at once."""
    name = f"copy-{secrets.token_hex(3)}"

    answer = await api.post(f"/api/v1/containers/{container['id']}/clone", json={"hostname": name})
    body = answer.json()
    events = await job_events(api, body["job"]["id"])
    copy = (await api.get(f"/api/v1/containers/{body['container']['id']}")).json()
    started = await done(api, f"containers/{copy['id']}/start")
    credentials = [
        (await api.post(f"/api/v1/containers/{each['id']}/credentials/{_root(each)}/reveal")).json()["value"]
        for each in (container, copy)
    ]
    taken = await api.post(f"/api/v1/containers/{container['id']}/clone", json={"hostname": name})

    assert events[-1].content["state"] == "succeeded", events[-1].text
    assert "it runs, so a snapshot is copied" in messages(events)
    assert (copy["hostname"], copy["lifecycle"], copy["template"]) == (name, "ready", "debian-base")
    assert copy["vmid"] != container["vmid"]
    assert started[-1].content["state"] == "succeeded"
    assert credentials[0] == credentials[1]
    assert (taken.status_code, taken.json()["errors"][0]["field"]) == (409, "hostname")


async def test_clone_of_a_snapshot(api: httpx.AsyncClient, container: dict[str, Any]) -> None:
    """A named snapshot is copied, and stays."""
    path = f"containers/{container['id']}"
    await done(api, f"{path}/snapshot", {"snapshot": "golden"})

    body = {"hostname": f"copy-{secrets.token_hex(3)}", "snapshot": "golden", "vmid": 7000}
    events = await done(api, f"{path}/clone", body)
    again = await api.post(f"/api/v1/{path}/snapshot", json={"snapshot": "golden"})

    assert events[-1].content["vmid"] == 7000
    assert (again.status_code, again.json()["code"]) == (409, "snapshot.exists")


async def test_config(api: httpx.AsyncClient, container: dict[str, Any]) -> None:
    """Networks, features and protection change; asked for again there is nothing to do."""
    path = f"containers/{container['id']}"
    bridge = container["spec"]["networks"][0]["bridge"]
    body = {
        "networks": [{"ip": "dhcp"}, {"bridge": bridge, "ip": "10.99.0.2/24", "tag": 7}],
        "features": {"nesting": True, "keyctl": True},
        "searchdomain": "example.org",
    }

    changed = await done(api, f"{path}/configure", body)
    again = await done(api, f"{path}/configure", body)
    row = (await api.get(f"/api/v1/{path}")).json()
    spec = row["spec"]

    assert "net1, searchdomain; after the next restart: searchdomain" in messages(changed)
    assert "keyctl, nesting; after the next restart: features, searchdomain" in messages(changed)
    waiting = "nothing to do; after the next restart: features, searchdomain"
    assert messages(again)[1:3] == [waiting, waiting]
    assert (len(spec["networks"]), spec["features"]) == (2, {"nesting": True})
    assert {"features", "searchdomain"} <= set(row["pending"])


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("restore", {}, "args.backup"),
        ("restore", {"backup": "local:backup/../x"}, "args.backup"),
        ("clone", {}, "args.hostname"),
        ("clone", {"hostname": "x", "vmid": 1}, "args.vmid"),
        ("clone", {"hostname": "x", "target_node": "nowhere"}, "args.target_node"),
        ("migrate", {}, "args.target_node"),
        ("migrate", {"target_node": "nowhere"}, "args.target_node"),
        ("backup", {"storage": "a b"}, "args.storage"),
        ("backup", {"mode": "fast"}, "mode"),
        ("configure", {"networks": [{"bridge": "nobridge"}]}, "args.networks.0.bridge"),
        ("configure", {"networks": [{"ip": "10.0.0.1"}]}, "args.networks.0.ip"),
        ("configure", {"nameserver": "x"}, "args.nameserver"),
    ],
)
async def test_wrong_arguments(
    api: httpx.AsyncClient, ready: dict[str, Any], verb: str, body: dict[str, Any], field: str
) -> None:
    """A wrong argument is named, and no job is made."""
    answer = await api.post(f"/api/v1/containers/{ready['id']}/{verb}", json=body)

    assert 400 <= answer.status_code < 500, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [field], answer.text


def _root(container: dict[str, Any]) -> str:
    secret_id: str = next(each["id"] for each in container["credentials"] if each["name"] == "root/password")
    return secret_id
