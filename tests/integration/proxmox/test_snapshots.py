"""Snapshots through our client, against the lab."""

import pytest

from slipway.lab import faults
from slipway.lab.node import Lab
from slipway.proxmox.answers import Power
from slipway.proxmox.errors import (
    ContainerLocked,
    ContainerMissing,
    FeatureMissing,
    ProxmoxRejected,
    SnapshotMissing,
    SnapshotTaken,
    TaskFailed,
    TaskLost,
)
from slipway.proxmox.hosts import Cluster
from support.lab_client import LIMIT, NODE, begin, create, done, start

THIN = "local-lvm:1"


async def shell_output(cluster: Cluster, vmid: int, script: str) -> str:
    """What a shell in the container prints."""
    return (await cluster.pct(NODE).execute(vmid, ["sh", "-c", script], timeout=LIMIT)).stdout


async def test_a_rollback_brings_disk_and_config_back(cluster: Cluster) -> None:
    """The notes stay as they are now, the container is left stopped."""
    api = cluster.api
    await create(cluster, rootfs=THIN, description="made by slipway")
    await start(cluster)
    await shell_output(cluster, 100, "echo one > /srv/stored")
    log = await done(api, await api.snapshot(NODE, 100, "s1", "before the change"))
    await shell_output(cluster, 100, "rm /srv/stored; touch /srv/new")
    await api.set_config(NODE, 100, {"hostname": "other", "description": "marked again"})

    await done(api, await api.rollback(NODE, 100, "s1"))
    status, config = await api.status(NODE, 100), await api.config(NODE, 100)
    await start(cluster)

    assert log == ['  Logical volume "snap_vm-100-disk-0_s1" created.', "TASK OK"]
    assert (status.status, config.hostname, config.lock) == (Power.STOPPED, "web", None)
    assert config.description == "marked again\n"
    assert await shell_output(cluster, 100, "cat /srv/stored; ls /srv") == "one\nstored\n"


async def test_a_rollback_can_start_the_container(cluster: Cluster) -> None:
    """In a task of its own, as a creation's start."""
    api = cluster.api
    await create(cluster, rootfs=THIN)
    await done(api, await api.snapshot(NODE, 100, "s1"))

    path = ("nodes", NODE, "lxc", "100", "snapshot", "s1", "rollback")
    await done(api, await begin(api, "POST", *path, start=True))

    started = await api.tasks(NODE, vmid=100, typefilter="vzstart")
    assert len(started) == 1
    await done(api, started[0].upid)
    assert (await api.status(NODE, 100)).status is Power.RUNNING


async def test_snapshots_are_a_chain(cluster: Cluster) -> None:
    """Each knows the one before it; removing one closes the gap; `current` is none of them."""
    api = cluster.api
    await create(cluster, rootfs=THIN)
    for name in ("s1", "s2", "s3"):
        await done(api, await api.snapshot(NODE, 100, name, f"number {name}"))
    before = {one.name: one.parent for one in await api.snapshots(NODE, 100)}
    await done(api, await api.delete_snapshot(NODE, 100, "s2"))
    after = await api.snapshots(NODE, 100)
    await done(api, await api.rollback(NODE, 100, "s1"))
    await done(api, await api.snapshot(NODE, 100, "s4"))

    assert before == {"s1": None, "s2": "s1", "s3": "s2"}
    assert {one.name: one.parent for one in after} == {"s1": None, "s3": "s1"}
    assert [one.description for one in after] == ["number s1\n", "number s3\n"]
    assert {one.name: one.parent for one in await api.snapshots(NODE, 100)} == {
        "s1": None,
        "s3": "s1",
        "s4": "s1",
    }


async def test_what_snapshots_refuse(cluster: Cluster) -> None:
    """Names that are taken, reserved, unknown or wrong; a container that is not there."""
    api = cluster.api
    await create(cluster, rootfs=THIN)
    await done(api, await api.snapshot(NODE, 100, "s1"))

    with pytest.raises(SnapshotTaken):
        await done(api, await api.snapshot(NODE, 100, "s1"))
    with pytest.raises(SnapshotMissing):
        await done(api, await api.rollback(NODE, 100, "s9"))
    with pytest.raises(SnapshotMissing):
        await done(api, await api.delete_snapshot(NODE, 100, "s9"))
    with pytest.raises(ProxmoxRejected, match="reserved name"):
        await api.snapshot(NODE, 100, "current")
    with pytest.raises(ProxmoxRejected):
        await api.snapshot(NODE, 100, "9 lives")
    with pytest.raises(ContainerMissing):
        await done(api, await api.snapshot(NODE, 999, "s1"))


async def test_a_folder_has_no_snapshots(cluster: Cluster) -> None:
    """The storage decides; it can be asked before."""
    api = cluster.api
    await create(cluster)
    await create(cluster, 101, rootfs=THIN)

    with pytest.raises(FeatureMissing, match="snapshot feature is not available"):
        await done(api, await api.snapshot(NODE, 100, "s1"))

    assert [await api.can_snapshot(NODE, vmid) for vmid in (100, 101)] == [False, True]
    assert await api.snapshots(NODE, 100) == ()
    assert (await api.config(NODE, 100)).lock is None


async def test_a_lock_refuses_and_a_killed_worker_leaves_one(cluster: Cluster, lab: Lab) -> None:
    """Nobody else gets in between; what died has to be unlocked by hand."""
    api = cluster.api
    await create(cluster, rootfs=THIN)
    lab.faults.order(faults.WorkerKilled(task="vzsnapshot"))
    with pytest.raises(TaskLost):
        await done(api, await api.snapshot(NODE, 100, "s1"))

    with pytest.raises(ContainerLocked, match="snapshot"):
        await done(api, await api.snapshot(NODE, 100, "s2"))
    with pytest.raises(ContainerLocked):
        await done(api, await api.start(NODE, 100))

    assert (await api.config(NODE, 100)).lock == "snapshot"
    await cluster.pct(NODE).unlock(100)
    await done(api, await api.snapshot(NODE, 100, "s1"))


async def test_a_failed_snapshot_leaves_no_lock(cluster: Cluster, lab: Lab) -> None:
    """The next one is made."""
    api = cluster.api
    await create(cluster, rootfs=THIN)
    lab.faults.order(faults.TaskFails(task="vzsnapshot", message="lvcreate failed"))

    with pytest.raises(TaskFailed, match="lvcreate failed"):
        await done(api, await api.snapshot(NODE, 100, "s1"))

    await done(api, await api.snapshot(NODE, 100, "s1"))
