"""Copies of containers through our client, and moves, against the lab."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from slipway.lab import faults
from slipway.lab.access.actors import SERVICE_ACL
from slipway.lab.node import Lab
from slipway.proxmox.answers import Power
from slipway.proxmox.errors import (
    ContainerLocked,
    ContainerMissing,
    FeatureMissing,
    NodeUnknown,
    PermissionMissing,
    ProxmoxRejected,
    SnapshotMissing,
    TaskFailed,
    TaskLost,
    VmidTaken,
)
from slipway.proxmox.hosts import Cluster, Hosts
from support.lab import running_lab
from support.lab_client import LIMIT, NODE, access_to, begin, create, done, start

THIN = "local-lvm:1"


async def shell_output(cluster: Cluster, vmid: int, script: str) -> str:
    """What a shell in the container prints."""
    return (await cluster.pct(NODE).execute(vmid, ["sh", "-c", script], timeout=LIMIT)).stdout


async def test_a_copy_is_a_container_of_its_own(cluster: Cluster) -> None:
    """Its files and notes are the original's; name, address and disk are its own."""
    api = cluster.api
    await create(cluster, description="<!-- marker of 100 -->", tags="prod")
    await start(cluster)
    await shell_output(cluster, 100, "echo one > /srv/stored")
    await done(api, await api.stop(NODE, 100))

    log = await done(api, await api.clone(NODE, 100, 200, hostname="copy"))
    original, copy = await api.config(NODE, 100), await api.config(NODE, 200)
    stopped = await api.status(NODE, 200)
    await start(cluster, 200)

    assert log[:2] == [
        "creating a clone of container 100 with ID 200",
        "create full clone of mountpoint rootfs (local:100/vm-100-disk-0.raw)",
    ]
    assert (copy.hostname, copy.tags, copy.lock) == ("copy", ("prod",), None)
    assert copy.description == original.description == "<!-- marker of 100 -->\n"
    assert copy.networks["net0"]["hwaddr"] != original.networks["net0"]["hwaddr"]
    assert copy.mounts["rootfs"]["volume"] == "local:200/vm-200-disk-0.raw"
    assert (stopped.status, original.lock) == (Power.STOPPED, None)
    assert await shell_output(cluster, 200, "cat /srv/stored /etc/hostname") == "one\ncopy\n"


async def test_a_running_container_is_copied_from_a_snapshot_only(cluster: Cluster) -> None:
    """As it was then, with the snapshot's description as notes; on another storage if asked for."""
    api = cluster.api
    await create(cluster, rootfs=THIN)
    await start(cluster)
    await shell_output(cluster, 100, "echo one > /srv/stored")
    await done(api, await api.snapshot(NODE, 100, "s1", "then"))
    await shell_output(cluster, 100, "echo two > /srv/stored")

    with pytest.raises(FeatureMissing, match="only possible from a snapshot"):
        await api.clone(NODE, 100, 200)
    with pytest.raises(SnapshotMissing):
        await api.clone(NODE, 100, 200, snapname="s9")
    await done(api, await api.clone(NODE, 100, 200, snapname="s1", storage="local"))
    await start(cluster, 200)

    assert await shell_output(cluster, 200, "cat /srv/stored") == "one\n"
    config = await api.config(NODE, 200)
    assert (config.description, config.hostname) == ("then\n", "web")
    assert config.mounts["rootfs"]["volume"].startswith("local:200/")
    assert await api.snapshots(NODE, 200) == ()


async def test_what_copies_refuse(cluster: Cluster, lab: Lab) -> None:
    """Nothing is left of what was refused."""
    api = cluster.api
    await create(cluster)
    await create(cluster, 101)

    with pytest.raises(VmidTaken):
        await api.clone(NODE, 100, 101)
    with pytest.raises(ContainerMissing):
        await api.clone(NODE, 999, 200)
    with pytest.raises(FeatureMissing, match="Linked clone feature"):
        await begin(api, "POST", "nodes", NODE, "lxc", "100", "clone", newid=200, full=False)
    with pytest.raises(TaskFailed, match="content type 'rootdir' is not available"):
        await done(api, await api.clone(NODE, 100, 200, storage="backup"))
    lab.faults.order(faults.VmidTaken(vmid=200))
    with pytest.raises(VmidTaken):
        await api.clone(NODE, 100, 200)

    assert (await api.config(NODE, 100)).lock is None
    assert {guest.vmid for guest in (await api.resources()).guests} == {100, 101, 200}


async def test_a_copy_that_fails_leaves_nothing(cluster: Cluster, lab: Lab) -> None:
    """Neither a container nor a lock; a killed one leaves both locked."""
    api = cluster.api
    await create(cluster)
    lab.faults.order(faults.TaskFails(task="vzclone", message="rsync: exit code 23"))
    with pytest.raises(TaskFailed, match="clone failed: rsync: exit code 23"):
        await done(api, await api.clone(NODE, 100, 200))
    with pytest.raises(ContainerMissing):
        await api.config(NODE, 200)
    assert (await api.config(NODE, 100)).lock is None

    lab.faults.order(faults.WorkerKilled(task="vzclone"))
    with pytest.raises(TaskLost):
        await done(api, await api.clone(NODE, 100, 200))

    left = await api.config(NODE, 200)
    assert (left.lock, left.hostname, left.rootfs) == ("create", "web", None)
    with pytest.raises(ContainerLocked, match="disk"):
        await api.clone(NODE, 100, 201)


async def test_moves_are_refused_where_there_is_nowhere_to_go(cluster: Cluster) -> None:
    """A node alone has no other to move to."""
    await create(cluster)

    with pytest.raises(ProxmoxRejected) as refused:
        await cluster.api.migrate(NODE, 100, NODE)
    with pytest.raises(NodeUnknown):
        await cluster.api.migrate(NODE, 100, "pve9", restart=True)

    assert [error.message for error in refused.value.errors] == ["target is local node."]


@pytest.mark.parametrize("missing", ["VM.Snapshot", "VM.Clone", "VM.Migrate", "VM.Config.Disk"])
async def test_each_act_needs_its_right(tmp_path: Path, missing: str) -> None:
    """The refusal names the right that is missing."""
    weak = {**SERVICE_ACL, "/vms": SERVICE_ACL["/vms"] - {missing, "VM.Snapshot.Rollback"}}
    hosts = Hosts()
    async with running_lab(tmp_path / "lab", service_acl=weak) as lab:
        cluster = hosts.open("lab", access_to(lab))
        api = cluster.api
        acts: dict[str, Callable[[], Awaitable[object]]] = {
            "VM.Snapshot": lambda: api.snapshot(NODE, 100, "s1"),
            "VM.Clone": lambda: api.clone(NODE, 100, 200),
            "VM.Migrate": lambda: api.migrate(NODE, 100, "pve9"),
            "VM.Config.Disk": lambda: api.resize(NODE, 100, "rootfs", "+1G"),
        }
        with pytest.raises(PermissionMissing, match=missing):
            await acts[missing]()
    await hosts.aclose()
