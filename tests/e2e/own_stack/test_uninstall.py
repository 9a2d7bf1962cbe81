"""`slipway uninstall`: what is left on Proxmox is what was there the day before, and the guests."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.lab.node import Lab
from support.lab import api_client, running_lab, ssh_client
from support.stack import create, job_events, running_stack, stack_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SCRIPT = Path(__file__).parents[3] / "infra/proxmox/make-token.sh"
FILES = (
    "cd /etc/pve; for each in user.cfg priv/token.cfg priv/authorized_keys; do echo $each; cat $each; done"
)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A node on which another Slipway has its access already."""
    async with running_lab(tmp_path / "lab") as lab:
        await as_root(lab, "ID=other ADDRESS=127.0.0.1 sh -s", SCRIPT.read_text())
        yield lab


async def as_root(lab: Lab, command: str, text: str) -> str:
    """Run a script as root of the node; return its output."""
    async with ssh_client(lab) as connection:
        ran = await connection.run(command, input=text, check=True)
    return str(ran.stdout)


async def connect(api: httpx.AsyncClient, lab: Lab) -> None:
    """Make an access for this Slipway and add the cluster; the lab's ports are not those of a node."""
    printed = await as_root(lab, "ID=mine NAME=lab ADDRESS=127.0.0.1 sh -s", SCRIPT.read_text())
    body = json.loads(printed[printed.index("{") :])
    body["endpoint"] = lab.endpoint
    body["ssh"]["port"] = lab.ssh_port
    added = await api.post("/api/v1/clusters", json=body)
    assert added.is_success, added.text


async def notes_of(lab: Lab, vmid: int) -> tuple[str, str]:
    """What a guest's notes say, and whether it runs."""
    async with api_client(lab, as_root=True) as client:
        path = f"/nodes/{lab.name}/lxc/{vmid}"
        config: dict[str, Any] = (await client.get(f"{path}/config")).json()["data"]
        status = (await client.get(f"{path}/status/current")).json()["data"]
    return config.get("description", ""), status["status"]


async def uninstall(data: Path, *options: str) -> tuple[int, str]:
    """Run the command; return its exit status and all that it wrote."""
    command = (sys.executable, "-m", "slipway.cli", "uninstall", "--data", str(data), *options)
    ran = await asyncio.to_thread(
        subprocess.run, command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stdout + ran.stderr


async def test_proxmox_is_as_the_day_before(lab: Lab) -> None:
    """User, token, roles and SSH key are gone, also the mark in the notes; the guest runs on."""
    before = await as_root(lab, "sh -s", FILES)
    with stack_folder() as data:
        with running_stack(data=data) as stack:
            async with stack.client() as api:
                await connect(api, lab)
                accepted = await create(api, template="debian-base", hostname="stays", vmid=150)
                events = await job_events(api, accepted["job"]["id"])
            assert events[-1].content["state"] == "succeeded", events[-1].text
            connected = await as_root(lab, "sh -s", FILES)
            refused = await uninstall(data, "--yes")
        marked, _ = await notes_of(lab, 150)
        planned = await uninstall(data, "--plan")
        status, output = await uninstall(data, "--yes")

        assert "slipway-mine" in connected
        assert "slipway: container=" in marked
        assert (refused[0], "stop it first" in refused[1]) == (1, True)
        assert planned[0] == 0
        assert "the user slipway-mine@pve, its token, its roles slipway-mine-*" in planned[1]
        assert status == 0, output
        assert not data.exists()
    assert await as_root(lab, "sh -s", FILES) == before
    assert await notes_of(lab, 150) == ("", "running")
