"""Guests that the HA manager looks after: asked for now, done later."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from slipway.lab.faults import HaManaged
from support.lab import api_client, ended, new_container, running_lab

CONTAINER = "/nodes/lab/lxc/100"


async def test_start_is_only_asked_for(tmp_path: Path) -> None:
    """The task `hastart` ends at once; the guest runs some time later."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await new_container(client, lab)
        lab.faults.order(HaManaged(vmid=100))
        upid = (await client.post(f"{CONTAINER}/status/start")).json()["data"]
        asked = await ended(client, upid)
        at_once = (await client.get(f"{CONTAINER}/status/current")).json()["data"]
        now = await until_running(client)

    assert (upid.split(":")[5], asked) == ("hastart", "OK")
    assert (at_once["status"], at_once["ha"]["managed"]) == ("stopped", 1)
    assert now["ha"]["state"] == "started"


async def until_running(client: httpx.AsyncClient) -> dict[str, Any]:
    """Wait until container 100 runs; its status then."""
    async with asyncio.timeout(10):
        while True:
            now: dict[str, Any] = (await client.get(f"{CONTAINER}/status/current")).json()["data"]
            if now["status"] == "running":
                return now
            await asyncio.sleep(0.05)


async def test_removal_needs_purge(tmp_path: Path) -> None:
    """Without `purge` it is refused; with it the guest is gone, and its VMID is managed no more."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await new_container(client, lab)
        lab.faults.order(HaManaged(vmid=100))
        refused = await client.delete(CONTAINER)
        removed = await ended(client, (await client.delete(CONTAINER, params={"purge": 1})).json()["data"])

    assert "used in HA resources and purge parameter not set" in refused.text
    assert removed == "OK"
    assert lab.faults.ha_managed(100) is None
