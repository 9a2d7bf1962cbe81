"""A lab's life: a container from creation to deletion, restarts, neighbours and the command."""

import asyncio
import contextlib
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import pytest

from slipway.lab.folder import AlreadyRuns
from slipway.lab.guests.choose import choose
from slipway.lab.guests.protocol import GuestError
from support.lab import (
    api_client,
    ended,
    new_container,
    root_client,
    running_lab,
    ssh_client,
    started,
    template_of,
    until,
)

LXC = "/nodes/lab/lxc"
DEADLINE = 30.0


async def test_lab_starts_empty(tmp_path: Path) -> None:
    """There are no containers and no tasks, but a template to make one from."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        resources = (await client.get("/cluster/resources?type=vm")).json()["data"]
        tasks = (await client.get("/nodes/lab/tasks")).json()
        template = await template_of(client, lab)

    assert (resources, tasks) == ([], {"data": []})
    assert template.startswith("local:vztmpl/")


async def test_container_lives_and_dies(tmp_path: Path) -> None:
    """Create, start, shut down, delete; each step is a task that ends well."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await started(client, lab)
        running = (await client.get(f"{LXC}/100/status/current")).json()["data"]
        down = await client.post(f"{LXC}/100/status/shutdown", data={"timeout": 30})
        down_status = await ended(client, down.json()["data"])
        gone_status = await ended(client, (await client.delete(f"{LXC}/100?purge=1")).json()["data"])
        volumes = (await client.get("/nodes/lab/storage/local/content?content=rootdir")).json()["data"]

    assert (running["status"], running["pid"] > 0, running["mem"] > 0) == ("running", True, True)
    assert (down_status, gone_status, volumes) == ("OK", "OK", [])


async def test_config_comes_back_completed(tmp_path: Path) -> None:
    """What is stored is not what was sent: networks, tags and the description change their form."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await new_container(client, lab, tags="B, a;b", description="hello", hostname="one")
        config = (await client.get(f"{LXC}/100/config")).json()["data"]

    assert (config["tags"], config["description"]) == ("a;b", "hello\n")
    assert config["net0"].startswith("name=eth0,bridge=vmbr0,hwaddr=BC:24:11:")
    assert (config["memory"], config["unprivileged"], config["arch"]) == (512, 1, "amd64")


async def test_systemd_without_nesting_is_a_warning(tmp_path: Path) -> None:
    """Creation succeeds with a warning, which is a success."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        form = {"vmid": 100, "ostemplate": await template_of(client, lab)}
        upid = (await client.post(LXC, data=form)).json()["data"]
        status = await ended(client, upid)
        log = (await client.get(f"/nodes/lab/tasks/{upid}/log")).json()["data"]

    assert status == "WARNINGS: 1"
    assert log[-1]["t"] == "TASK WARNINGS: 1"


async def test_resources_are_stale_at_first(tmp_path: Path) -> None:
    """A started container is unknown or stopped there until the node has looked around."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await started(client, lab)

        async def status() -> str:
            return str((await client.get("/cluster/resources?type=vm")).json()["data"][0]["status"])

        async def is_running() -> bool:
            return await status() == "running"

        await until(is_running)
        assert await status() == "running"


async def test_os_template_is_downloaded_and_used(tmp_path: Path) -> None:
    """What `aplinfo` offers can be fetched and a container be made from it."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        name = (await client.get("/nodes/lab/aplinfo")).json()["data"][0]["template"]
        form = {"storage": "local", "template": name}
        wrong = [{"storage": "backup"}, {"storage": "nope"}, {"template": "nope"}]
        refused = [await client.post("/nodes/lab/aplinfo", data=form | each) for each in wrong]
        downloaded = await ended(client, (await client.post("/nodes/lab/aplinfo", data=form)).json()["data"])
        await new_container(client, lab, ostemplate=f"local:vztmpl/{name}")

    assert downloaded == "OK"
    assert [each.reason_phrase for each in refused[:2]] == [
        "storage 'backup' does not support templates",
        "storage 'nope' does not exist",
    ]
    assert refused[2].json()["errors"] == {"template": "no such template"}


async def test_restarted_lab_goes_on(tmp_path: Path) -> None:
    """Containers, their files, tasks, keys and secrets are there again; `onboot` starts by itself."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await started(client, lab, onboot=1)
        async with ssh_client(lab) as root:
            await root.run("pct exec 100 -- sh -c 'echo stored >/root/file'", check=True)
        before = (lab.endpoint, lab.fingerprint, lab.ssh_host_key, lab.ssh_port, lab.token_secret)

    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        tasks = (await client.get("/nodes/lab/tasks?source=all")).json()["data"]
        boot = next(task["upid"] for task in tasks if task["type"] == "vzstart")
        assert await ended(client, boot) == "OK"
        async with ssh_client(lab) as root:
            done = await root.run("pct exec 100 -- cat /root/file")

    after = (lab.endpoint, lab.fingerprint, lab.ssh_host_key, lab.ssh_port, lab.token_secret)
    assert after == before
    assert done.stdout == "stored\n"
    assert "vzcreate" in {task["type"] for task in tasks}


@pytest.mark.lxc
async def test_real_containers_behave_the_same(tmp_path: Path) -> None:
    """With real LXC guests a container boots systemd, runs commands and shuts down."""
    try:
        choose("lxc")
    except GuestError as error:
        pytest.skip(str(error))

    async with running_lab(tmp_path, guests="lxc") as lab, api_client(lab) as client:
        await started(client, lab, hostname="real")
        async with ssh_client(lab) as root:

            async def is_ready() -> bool:
                asked = await root.run("pct exec 100 -- systemctl is-system-running")
                return str(asked.stdout).strip() in ("running", "degraded")

            await until(is_ready)
            name = await root.run("pct exec 100 -- hostname")
        down = await client.post(f"{LXC}/100/status/shutdown", data={"timeout": 30})
        status = await ended(client, down.json()["data"])

    assert (name.stdout, status) == ("real\n", "OK")


async def test_two_labs_do_not_meet(tmp_path: Path) -> None:
    """Two folders are two nodes; one folder is one lab."""
    async with running_lab(tmp_path / "a") as one, running_lab(tmp_path / "b") as other:
        async with api_client(one) as client:
            await new_container(client, one)
        async with api_client(other) as client:
            containers = (await client.get(f"{LXC}")).json()["data"]
        with pytest.raises(AlreadyRuns):
            async with running_lab(tmp_path / "a"):
                pass

    assert containers == []
    assert one.fingerprint != other.fingerprint
    assert one.ssh_host_key != other.ssh_host_key


async def test_disk_grows_and_never_shrinks(tmp_path: Path) -> None:
    """A resize is a task; a smaller size is refused at once."""
    async with running_lab(tmp_path) as lab, root_client(lab) as client:
        await new_container(client, lab)
        grown = await client.put(f"{LXC}/100/resize", data={"disk": "rootfs", "size": "+1G"})
        assert await ended(client, grown.json()["data"]) == "OK"
        shrunk = await client.put(f"{LXC}/100/resize", data={"disk": "rootfs", "size": "1G"})
        config = (await client.get(f"{LXC}/100/config")).json()["data"]

    assert "size=5G" in config["rootfs"]
    assert shrunk.reason_phrase == "unable to shrink disk size"


async def test_killed_lab_leaves_what_a_power_cut_leaves(tmp_path: Path) -> None:
    """A creation under way becomes a locked zombie, its task has `unexpected status`."""
    async with serving(tmp_path) as (process, described):
        secret = await asyncio.to_thread(Path(described["root_token_secret_file"]).read_text)
        authority = await asyncio.to_thread(ssl.create_default_context, cafile=described["certificate_file"])
        headers = {"Authorization": f"PVEAPIToken={described['root_token_id']}={secret}"}
        async with httpx.AsyncClient(
            base_url=described["endpoint"], headers=headers, verify=authority
        ) as client:
            await client.post("/lab/faults", json={"kind": "task-hangs", "task": "vzcreate"})
            content = await client.get("/api2/json/nodes/lab/storage/local/content")
            form = {"vmid": 100, "ostemplate": content.json()["data"][0]["volid"]}
            await client.post("/api2/json/nodes/lab/lxc", data=form)
        process.kill()
        await process.wait()

    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        config = (await client.get(f"{LXC}/100/config")).json()["data"]
        (task,) = (await client.get("/nodes/lab/tasks")).json()["data"]

    assert set(config) == {"lock", "digest"}
    assert task["status"] == "unexpected status"


@contextlib.asynccontextmanager
async def serving(data: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """Run the command and wait until it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "slipway.lab", "serve", "--data", str(data), "--guests", "simulated",
        stdout=asyncio.subprocess.PIPE, env=os.environ,
    )  # fmt: skip
    try:
        async with asyncio.timeout(DEADLINE):
            assert process.stdout is not None
            assert (await process.stdout.readline()).startswith(b"Guests: simulated")
            await process.stdout.readline()
            yield process, described_lab(data)[0]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_command_serves_until_it_is_terminated(tmp_path: Path) -> None:
    """`python -m slipway.lab serve` says which guests it uses, describes itself and ends well."""
    async with serving(tmp_path) as (process, described):
        mode = described_lab(tmp_path)[1]
        process.terminate()
        code = await process.wait()
    left = await asyncio.to_thread(lambda: list(tmp_path.glob("lab.json")))

    assert described["endpoint"].startswith("https://127.0.0.1:")
    assert (code, mode, left) == (0, 0o600, [])


def described_lab(data: Path) -> tuple[dict[str, Any], int]:
    """Read `lab.json` and the mode of the key that it names."""
    described = json.loads((data / "lab.json").read_text())
    secret = Path(described["ssh_private_key_file"])
    asyncssh.import_private_key(secret.read_text())
    return described, secret.stat().st_mode & 0o777
