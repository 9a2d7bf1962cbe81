"""Everything that Slipway does over SSH goes through the forced command of a bound key."""

import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from support.bound_key import BoundKey, PretendNode, bind_key
from support.stack import RunningStack, create, done, job_events


@pytest.fixture
async def key(stack: RunningStack, api: httpx.AsyncClient) -> AsyncIterator[BoundKey]:
    """The cluster, reached with a key that the token script has bound; as before at the end."""
    lab = lab_of(stack)
    bound = await bind_key(lab.node, VMIDS="100-999")
    await login_with(api, bound.private_key)
    yield bound
    await login_with(api, lab.private_key)


@dataclass(frozen=True)
class StackLab:
    """The lab of a stack."""

    node: PretendNode
    private_key: str


def lab_of(stack: RunningStack) -> StackLab:
    """Read how the lab is reached."""
    data = stack.data / "lab"
    lab = json.loads((data / "lab.json").read_text())
    ca = Path(lab["certificate_authority_file"]).read_text()
    node = PretendNode("lab", data / "host", lab["ssh_host_key"], ca)
    return StackLab(node, Path(lab["ssh_private_key_file"]).read_text())


async def login_with(api: httpx.AsyncClient, private_key: str) -> None:
    """Have Slipway log in with a key, which is tried before it is saved."""
    answer = await api.put("/api/v1/clusters/lab/access", json={"ssh": {"private_key": private_key}})
    assert answer.is_success, answer.text


async def test_a_container_lives_its_life_through_a_bound_key(api: httpx.AsyncClient, key: BoundKey) -> None:
    """A creation with scripts, health check and discovery, each change that is seen inside, and its end."""
    accepted = await create(
        api,
        template="nginx-site",
        hostname=f"bound-{secrets.token_hex(3)}",
        features={"nesting": True, "fuse": True},
    )
    path = f"containers/{accepted['container']['id']}"
    made = await job_events(api, accepted["job"]["id"])
    container = (await api.get(f"/api/v1/{path}")).json()
    await done(api, f"{path}/snapshot", {"snapshot": "first"})
    await done(api, f"{path}/rollback", {"snapshot": "first"})
    await done(api, f"{path}/start")
    await done(api, f"{path}/backup")
    backup = (await api.get(f"/api/v1/{path}/backups")).json()["items"][0]["volume"]
    await done(api, f"{path}/restore", {"backup": backup})
    await done(api, f"{path}/configure", {"features": {"nesting": True, "keyctl": True}})
    ended = await api.delete(f"/api/v1/{path}")
    gone = await job_events(api, ended.json()["job"]["id"])
    nodes = (await api.get("/api/v1/clusters/lab")).json()["nodes"]

    assert (made[-1].content["state"], gone[-1].content["state"]) == ("succeeded", "succeeded")
    assert [each["name"] for each in container["services"] if each["name"] == "nginx"] == ["nginx"]
    assert [each["ssh_limits"] for each in nodes] == ["vmids 100-999"]
    assert key.log == ""
