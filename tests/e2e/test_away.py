"""Containers whose host is away or who were removed by hand: refused, forgotten, found again, freed."""

import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from support.lab import lab_of
from support.stack import RunningStack, create, job_events
from support.waiting import until

BACK_SECONDS = 40.0


@pytest.fixture
async def proxmox(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """Proxmox's API, as whoever works beside Slipway uses it."""
    async with lab_of(stack.data) as client:
        yield client


@contextmanager
def away(stack: RunningStack) -> Iterator[None]:
    """Let Proxmox answer nothing: the connection stands, nobody is behind it."""
    pid = stack.endpoints["pids"]["lab"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def made(api: httpx.AsyncClient, state: str = "succeeded", **body: Any) -> dict[str, Any]:
    """Create a container to its end."""
    accepted = await create(api, **body)
    events = await job_events(api, accepted["job"]["id"])
    assert events[-1].content["state"] == state, events[-1].text
    container: dict[str, Any] = (await api.get(f"/api/v1/containers/{accepted['container']['id']}")).json()
    return container


async def test_forgotten_and_found_again(stack: RunningStack, api: httpx.AsyncClient) -> None:
    """Without Proxmox nothing is deleted; the record can be dropped, and is back when the host is."""
    container = await made(api, template="debian-base", hostname=f"away-{secrets.token_hex(3)}")
    path = f"/api/v1/containers/{container['id']}"
    present = await api.post(f"{path}/forget")

    with away(stack):
        deleted = await api.delete(path)
        forgotten = await api.post(f"{path}/forget")
        again = await api.post(f"{path}/forget")
        listed = (await api.get("/api/v1/containers", params={"q": container["hostname"]})).json()["items"]

    assert (present.status_code, present.json()["code"]) == (httpx.codes.CONFLICT, "container.present")
    assert (deleted.status_code, deleted.json()["code"]) == (503, "proxmox.unreachable")
    assert "did not answer" in deleted.json()["detail"]
    assert f"{path}/forget" in deleted.json()["detail"]
    assert (forgotten.status_code, forgotten.json()["is_forgotten"]) == (200, True), forgotten.text
    assert again.json()["is_forgotten"]
    assert listed == []

    async def is_back() -> bool:
        return bool((await api.get(path)).json()["lifecycle"] == "ready")

    await until(is_back, within_seconds=BACK_SECONDS)
    entries = (await api.get("/api/v1/audit")).json()["items"]
    acts = [(each["action"], each["actor"]) for each in entries if each["target"] == container["id"]]
    assert acts[0] == ("container.found", "system")
    assert acts[1][0] == "container.forget"
    ended = await api.delete(path)
    assert (await job_events(api, ended.json()["job"]["id"]))[-1].content["state"] == "succeeded"


async def test_remains_removed_by_hand(api: httpx.AsyncClient, proxmox: httpx.AsyncClient) -> None:
    """Name and VMID of a failed creation are free as soon as someone has removed what was left of it."""
    name, node = f"hand-{secrets.token_hex(3)}", "lab"
    failed = await made(api, "failed", template="failing", hostname=name, vmid=7311)
    held = await api.post("/api/v1/containers", json={"template": "debian-base", "hostname": name})
    guest = f"/nodes/{node}/lxc/7311"
    await proxmox.post(f"{guest}/status/stop")
    await until(lambda: _stopped(proxmox, guest))
    await proxmox.delete(guest)
    await until(lambda: _gone(proxmox, guest))

    second = await made(api, template="debian-base", hostname=name, vmid=7311)

    assert (held.status_code, held.json()["code"]) == (httpx.codes.CONFLICT, "hostname.taken")
    assert second["vmid"] == 7311
    first = (await api.get(f"/api/v1/containers/{failed['id']}")).json()
    assert (first["lifecycle"], first["is_forgotten"]) == ("deleted", False)
    deleted = await api.delete(f"/api/v1/containers/{second['id']}")
    await job_events(api, deleted.json()["job"]["id"])


async def _stopped(proxmox: httpx.AsyncClient, guest: str) -> bool:
    return bool((await proxmox.get(f"{guest}/status/current")).json()["data"]["status"] == "stopped")


async def _gone(proxmox: httpx.AsyncClient, guest: str) -> bool:
    return (await proxmox.get(f"{guest}/config")).status_code != httpx.codes.OK
