"""Backups, what becomes of them, and resized disks, through our client, against the lab."""

from pathlib import Path

import pytest

from slipway.lab import faults
from slipway.lab.access.actors import SERVICE_ACL
from slipway.lab.node import Lab
from slipway.proxmox.answers import Power
from slipway.proxmox.errors import (
    AlreadyRunning,
    ConfigChanged,
    ContainerLocked,
    ContainerMissing,
    ContainerProtected,
    PermissionMissing,
    ProxmoxRejected,
    TaskFailed,
    TaskLost,
    VmidTaken,
)
from slipway.proxmox.hosts import Cluster, Hosts
from slipway.proxmox.storage_answers import Volume
from slipway.proxmox.upid import Upid
from support.lab import running_lab
from support.lab_client import LIMIT, NODE, access_to, begin, create, done, failed_log, start

RESTORED: dict[str, str | int] = {"storage": "local", "unprivileged": 1}


async def shell_output(cluster: Cluster, vmid: int, script: str) -> str:
    """What a shell in the container prints."""
    return (await cluster.pct(NODE).execute(vmid, ["sh", "-c", script], timeout=LIMIT)).stdout


async def delete_volume(cluster: Cluster, volid: str) -> Upid:
    """Begin to remove a backup."""
    path = ("nodes", NODE, "storage", volid.partition(":")[0], "content", volid)
    return await begin(cluster.api, "DELETE", *path)


async def backed_up(cluster: Cluster, vmid: int = 100, *, notes: str = "") -> Volume:
    """A backup of a container; the newest there is."""
    await done(cluster.api, await cluster.api.backup(NODE, vmid, storage="backup", notes=notes))
    stored = await cluster.api.content(NODE, "backup", kind="backup")
    return max((one for one in stored if one.vmid == vmid), key=lambda one: one.volid)


async def end_of(cluster: Cluster, upid: Upid) -> list[str]:
    """The log of a task that fails."""
    with pytest.raises(TaskFailed, match="job errors"):
        await done(cluster.api, upid)
    return await failed_log(cluster.api, upid)


async def test_a_deleted_container_comes_back_from_its_backup(cluster: Cluster) -> None:
    """Files, config, notes and address; the backup outlives its container."""
    api = cluster.api
    await create(cluster, description="marker", tags="prod")
    await start(cluster)
    await shell_output(cluster, 100, "echo one > /srv/stored")
    backup = await backed_up(cluster, notes="before\nthe change \\ of {{guestname}} {{vmid}}")
    before = await api.config(NODE, 100)
    await done(api, await api.stop(NODE, 100))
    await done(api, await api.delete(NODE, 100))

    log = await done(api, await api.restore(NODE, {"vmid": 100, "ostemplate": backup.volid, **RESTORED}))
    after, status = await api.config(NODE, 100), await api.status(NODE, 100)
    await start(cluster)

    assert backup.notes == "before\nthe change \\ of web 100"
    assert (backup.vmid, backup.subtype) == (100, "lxc")
    assert backup.size > 0
    assert f"restoring '{backup.volid}' now.." in log
    assert (after.description, after.tags, after.hostname, after.lock) == ("marker\n", ("prod",), "web", None)
    assert (after.networks, status.status) == (before.networks, Power.STOPPED)
    assert await shell_output(cluster, 100, "cat /srv/stored") == "one\n"
    with pytest.raises(ValueError, match="unprivileged"):
        await api.restore(NODE, {"vmid": 101, "ostemplate": backup.volid})


async def test_a_restore_beside_the_original_can_have_its_own_address(cluster: Cluster) -> None:
    """With `unique`; what is given wins over what was stored."""
    api = cluster.api
    await create(cluster, description="marker")
    backup = await backed_up(cluster)
    params = {"vmid": 101, "ostemplate": backup.volid, "unique": 1, "hostname": "beside", **RESTORED}

    await done(api, await api.restore(NODE, params))
    one, other = await api.config(NODE, 100), await api.config(NODE, 101)

    assert (other.hostname, other.description) == ("beside", "marker\n")
    assert one.networks["net0"]["hwaddr"] != other.networks["net0"]["hwaddr"]
    assert other.mounts["rootfs"]["volume"] == "local:101/vm-101-disk-0.raw"


async def test_a_restore_over_a_container_replaces_it(cluster: Cluster) -> None:
    """Only if it is forced, stopped and not protected."""
    api = cluster.api
    await create(cluster)
    backup = await backed_up(cluster)
    await start(cluster)
    await shell_output(cluster, 100, "echo two > /srv/new")
    params = {"vmid": 100, "ostemplate": backup.volid, **RESTORED}

    with pytest.raises(VmidTaken):
        await api.restore(NODE, params)
    with pytest.raises(AlreadyRunning):
        await api.restore(NODE, {**params, "force": 1})
    await done(api, await api.stop(NODE, 100))
    await api.set_config(NODE, 100, {"protection": 1})
    with pytest.raises(ContainerProtected):
        await api.restore(NODE, {**params, "force": 1})
    await api.set_config(NODE, 100, {"protection": 0})
    await done(api, await api.restore(NODE, {**params, "force": 1}))
    await start(cluster)

    assert await shell_output(cluster, 100, "ls /srv") == ""


async def test_a_restore_that_fails_early_leaves_what_was_there(cluster: Cluster) -> None:
    """Nothing where nothing was; the container that was to be replaced, if the backup can't be read."""
    api = cluster.api
    await create(cluster)
    backup = await backed_up(cluster)
    missing = backup.volid.replace("lxc-100-2", "lxc-100-1")
    with pytest.raises(TaskFailed, match=r"unable to restore CT 101 - volume .* does not exist"):
        await done(api, await api.restore(NODE, {"vmid": 101, "ostemplate": missing, **RESTORED}))
    with pytest.raises(ProxmoxRejected, match="content type needs to be 'backup'"):
        await api.restore(NODE, {"vmid": 101, "ostemplate": "local:vztmpl/x.tar.zst", **RESTORED})
    with pytest.raises(TaskFailed, match=r"unable to restore CT 100 - volume .* does not exist"):
        await done(api, await api.restore(NODE, {"vmid": 100, "ostemplate": missing, "force": 1, **RESTORED}))
    with pytest.raises(ContainerMissing):
        await api.config(NODE, 101)
    assert (await api.config(NODE, 100)).lock is None
    await start(cluster)


async def test_a_restore_that_fails_while_unpacking_leaves_nothing(cluster: Cluster, lab: Lab) -> None:
    """The container that was to be replaced is gone, with its disk; a killed worker leaves a zombie."""
    api = cluster.api
    await create(cluster)
    backup = await backed_up(cluster)
    lab.faults.order(faults.TaskFails(task="vzrestore", message="tar: exit code 2"))

    with pytest.raises(TaskFailed, match="unable to restore CT 100 - tar: exit code 2"):
        await done(
            api, await api.restore(NODE, {"vmid": 100, "ostemplate": backup.volid, "force": 1, **RESTORED})
        )

    with pytest.raises(ContainerMissing):
        await api.config(NODE, 100)
    assert [one for one in await api.content(NODE, "local") if one.vmid == 100] == []
    lab.faults.order(faults.WorkerKilled(task="vzrestore"))
    with pytest.raises(TaskLost):
        await done(api, await api.restore(NODE, {"vmid": 102, "ostemplate": backup.volid, **RESTORED}))
    assert (await api.config(NODE, 102)).is_bare


@pytest.mark.parametrize(
    ("mode", "rootfs", "line"),
    [
        ("stop", "local:1", "INFO: stopping virtual guest"),
        ("suspend", "local:1", "INFO: suspend vm to make snapshot"),
        ("snapshot", "local:1", "INFO: mode failure - some volumes do not support snapshots"),
        ("snapshot", "local-lvm:1", "INFO: create storage snapshot 'vzdump'"),
    ],
)
async def test_each_mode_leaves_the_container_running(
    cluster: Cluster, mode: str, rootfs: str, line: str
) -> None:
    """The log says how it was held."""
    await create(cluster, rootfs=rootfs)
    await start(cluster)

    upid = await cluster.api.backup(NODE, 100, storage="local", mode=mode)  # type: ignore[arg-type]  # cases
    log = await done(cluster.api, upid)

    assert line in log
    assert (await cluster.api.status(NODE, 100)).status is Power.RUNNING
    stored = await cluster.api.content(NODE, "local", kind="backup")
    assert [one.volid.endswith(".tar.zst") for one in stored] == [True]


async def test_what_goes_wrong_with_a_backup_is_in_its_log(cluster: Cluster, lab: Lab) -> None:
    """The task says `job errors`; no half of an archive is listed."""
    api = cluster.api
    await create(cluster)
    gone = await end_of(cluster, await api.backup(NODE, 999, storage="backup"))
    lab.faults.order(faults.TaskFails(task="vzdump", message="tar: exit code 2"))
    failed = await end_of(cluster, await api.backup(NODE, 100, storage="backup"))
    full = lab.faults.order(faults.StorageFull(storage="backup"))
    filled = await end_of(cluster, await api.backup(NODE, 100, storage="backup"))
    lab.faults.clear(full)
    with pytest.raises(ProxmoxRejected, match="does not exist"):
        await done(api, await api.backup(NODE, 100, storage="nost"))
    with pytest.raises(ProxmoxRejected, match="wrong content type"):
        await done(api, await api.backup(NODE, 100, storage="local-lvm"))

    assert "ERROR: Backup of VM 999 failed - unable to find VM '999'" in gone
    assert "ERROR: Backup of VM 100 failed - tar: exit code 2" in failed
    assert any("No space left on device" in line for line in filled)
    assert await api.content(NODE, "backup", kind="backup") == ()
    assert (await api.config(NODE, 100)).lock is None


async def test_a_backup_locks_its_container(cluster: Cluster, lab: Lab) -> None:
    """Until it ends, or is stopped; a killed one leaves the lock."""
    api = cluster.api
    await create(cluster)
    hanging = lab.faults.order(faults.TaskHangs(task="vzdump"))
    upid = await api.backup(NODE, 100, storage="backup")
    while lab.faults.met(hanging) == 0:
        await api.task_status(upid)
    with pytest.raises(ContainerLocked, match="backup"):
        await api.delete(NODE, 100)
    with pytest.raises(ContainerLocked, match="backup"):
        await done(api, await api.start(NODE, 100))
    await api.stop_task(upid)
    with pytest.raises(TaskFailed, match="interrupt"):
        await done(api, upid)
    assert (await api.config(NODE, 100)).lock is None

    lab.faults.order(faults.WorkerKilled(task="vzdump"))
    with pytest.raises(TaskLost):
        await done(api, await api.backup(NODE, 100, storage="backup"))
    assert (await api.config(NODE, 100)).lock == "backup"


async def test_a_backup_can_be_removed(cluster: Cluster) -> None:
    """Once."""
    await create(cluster)
    backup = await backed_up(cluster)
    other = await backed_up(cluster)

    log = await done(cluster.api, await delete_volume(cluster, backup.volid))
    left = await cluster.api.content(NODE, "backup", kind="backup")
    with pytest.raises(TaskFailed, match="No such file"):
        await done(cluster.api, await delete_volume(cluster, backup.volid))
    with pytest.raises(PermissionMissing):
        await delete_volume(cluster, "local:vztmpl/some.tar.zst")

    assert log == [f"Removed volume '{backup.volid}'", "TASK OK"]
    assert [one.volid for one in left] == [other.volid]


async def test_backups_need_their_right(tmp_path: Path) -> None:
    """To be made, seen and removed."""
    weak = {**SERVICE_ACL, "/vms": SERVICE_ACL["/vms"] - {"VM.Backup"}}
    hosts = Hosts()
    async with running_lab(tmp_path / "lab", service_acl=weak) as lab:
        cluster = hosts.open("lab", access_to(lab))
        api = cluster.api
        await create(cluster)

        with pytest.raises(PermissionMissing, match=r"VM\.Backup"):
            await done(api, await api.backup(NODE, 100, storage="backup"))
        with pytest.raises(PermissionMissing, match=r"VM\.Backup"):
            await delete_volume(cluster, "backup:backup/vzdump-lxc-100-2026_11_23-17_00_00.tar.zst")
    await hosts.aclose()


async def test_a_disk_grows(cluster: Cluster, lab: Lab) -> None:
    """In a task; never back; not while something holds the container."""
    api = cluster.api
    await create(cluster)

    await done(api, await api.resize(NODE, 100, "rootfs", "+1G"))
    assert (await api.config(NODE, 100)).mounts["rootfs"]["size"] == "2G"
    with pytest.raises(ProxmoxRejected, match="unable to shrink disk size"):
        await api.resize(NODE, 100, "rootfs", "1G")
    with pytest.raises(ProxmoxRejected):
        await api.resize(NODE, 100, "rootfs", "much")
    with pytest.raises(ContainerMissing):
        await api.resize(NODE, 999, "rootfs", "+1G")
    digest = (await api.config(NODE, 100)).digest
    await api.set_config(NODE, 100, {"startup": "order=3,up=5"}, digest=digest)
    with pytest.raises(ConfigChanged):
        await api.set_config(NODE, 100, {"cores": 2}, digest=digest)
    lab.faults.order(faults.WorkerKilled(task="vzdump"))
    with pytest.raises(TaskLost):
        await done(api, await api.backup(NODE, 100, storage="backup"))
    with pytest.raises(ContainerLocked):
        await done(api, await api.resize(NODE, 100, "rootfs", "+1G"))

    assert (await api.config(NODE, 100)).startup == {"order": 3, "up": 5}
