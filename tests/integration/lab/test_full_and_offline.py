"""Storages that are full, with the causes that Proxmox gives, and guests without DNS or with a locked apt."""

from pathlib import Path

import asyncssh
import httpx
import pytest

from slipway.lab.faults import AptLocked, DnsFails, StorageFull
from support.lab import api_client, ended, new_container, running_lab, ssh_client, started, template_of

LXC = "/nodes/lab/lxc"
INSTALL = "pct exec 100 -- apt-get -q -o DPkg::Lock::Timeout={} -y install jq"
UPDATE = "pct exec 100 -- apt-get update"


async def outcome(client: httpx.AsyncClient, answer: httpx.Response) -> tuple[str, str]:
    """Wait for a task: its end and its log."""
    upid = answer.json()["data"]
    end = await ended(client, upid)
    return end, (await client.get(f"/nodes/lab/tasks/{upid}/log?limit=0")).text


async def test_full_when_a_disk_is_made(tmp_path: Path) -> None:
    """The file system can't be written: the log has the cause, the status only the command."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        lab.faults.order(StorageFull(storage="local", at=("mkfs",)))
        form = {"vmid": 100, "ostemplate": await template_of(client, lab), "rootfs": "local:2000"}
        end, log = await outcome(client, await client.post(LXC, data=form))
        left = await client.get("/nodes/lab/storage/local/content?content=rootdir")

    assert "mkfs.ext4" in end
    assert "No space left on device" not in end
    assert "No space left on device" in log
    assert left.json()["data"] == []


async def test_full_at_a_start_and_a_backup(tmp_path: Path) -> None:
    """Neither says the cause in its status; both have it in the log."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client:
        await new_container(client, lab)
        order = lab.faults.order(StorageFull(storage="local", at=("start",)))
        start = await outcome(client, await client.post(f"{LXC}/100/status/start"))
        lab.faults.clear(order)
        lab.faults.order(StorageFull(storage="backup"))
        form = {"vmid": 100, "storage": "backup", "compress": "zstd"}
        backup = await outcome(client, await client.post("/nodes/lab/vzdump", data=form))

    assert start[0] == "startup for container '100' failed"
    assert backup[0] == "job errors"
    assert "No space left on device" in start[1]
    assert "Write error : cannot write block : No space left on device" in backup[1]


async def test_names_are_not_found_for_a_while(tmp_path: Path) -> None:
    """An update only warns, as the real one; what needs the network fails, until it works again."""
    async with (
        running_lab(tmp_path) as lab,
        api_client(lab) as client,
        ssh_client(lab) as shell,
    ):
        await started(client, lab)
        lab.faults.order(DnsFails(attempts=2))
        warned = await shell.run(UPDATE)
        unknown = await shell.run(INSTALL.format(0))
        strict = await shell.run(f"{UPDATE} -o APT::Update::Error-Mode=any")
        updated = await shell.run(UPDATE)
        installed = await shell.run(INSTALL.format(0))

    assert (warned.exit_status, unknown.exit_status, strict.exit_status) == (0, 100, 100)
    assert "Temporary failure resolving 'mirror.example'" in str(warned.stderr)
    assert "E: Unable to locate package jq" in str(unknown.stderr)
    assert "E: Failed to fetch http://mirror.example" in str(strict.stderr)
    assert (updated.exit_status, installed.exit_status) == (0, 0)


async def test_download_fails(tmp_path: Path) -> None:
    """With lists in place it is the package that can't be fetched."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client, ssh_client(lab) as shell:
        await started(client, lab)
        lab.faults.order(DnsFails(vmid=100))
        failed = await shell.run(INSTALL.format(0))
        installed = await shell.run(INSTALL.format(0))

    assert failed.exit_status == 100
    assert "E: Failed to fetch" in str(failed.stderr)
    assert installed.exit_status == 0


async def test_next_guest_fails_anew(tmp_path: Path) -> None:
    """Each guest meets the order, also one that has the number of another."""
    codes = []
    async with running_lab(tmp_path) as lab, api_client(lab) as client, ssh_client(lab) as shell:
        lab.faults.order(DnsFails())
        for _ in range(2):
            await started(client, lab)
            codes += [(await shell.run(INSTALL.format(0))).exit_status for _ in range(2)]
            upid = (await client.delete(f"{LXC}/100?force=1")).json()["data"]
            await ended(client, upid)

    assert codes == [100, 0, 100, 0]


@pytest.mark.parametrize(("timeout", "code"), [(0, 100), (60, 0)])
async def test_dpkg_is_locked(tmp_path: Path, timeout: int, code: int) -> None:
    """Who does not wait fails, who waits is served once the other is done."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client, ssh_client(lab) as shell:
        await started(client, lab)
        lab.faults.order(AptLocked(lock="dpkg", seconds=3))
        done: asyncssh.SSHCompletedProcess = await shell.run(INSTALL.format(timeout))

    assert done.exit_status == code
    assert "/var/lib/dpkg/lock-frontend" in f"{done.stdout!s}{done.stderr!s}"


async def test_lists_are_locked(tmp_path: Path) -> None:
    """An update fails at once, however long apt may wait."""
    async with running_lab(tmp_path) as lab, api_client(lab) as client, ssh_client(lab) as shell:
        await started(client, lab)
        lab.faults.order(AptLocked(lock="lists", seconds=300))
        done = await shell.run(f"{UPDATE} -o DPkg::Lock::Timeout=300")

    assert done.exit_status == 100
    assert "E: Could not get lock /var/lib/apt/lists/lock" in str(done.stderr)
