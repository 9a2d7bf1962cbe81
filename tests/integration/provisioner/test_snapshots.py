"""Snapshots: a name that exists is no success; only what this very job began is its own."""

import pytest

from slipway.contracts.job_kinds import JobKind, SnapshotArgs
from slipway.contracts.values import JobState
from slipway.lab import faults
from slipway.proxmox.storage_answers import Snapshot
from support import lab_client
from support.lab_client import NODE
from support.provisioner_side import VMID, Ground

ARGS = SnapshotArgs(snapshot="before", description="ours")


async def listed(ground: Ground) -> tuple[Snapshot, ...]:
    """List the container's snapshots."""
    return await ground.cluster.api.snapshots(NODE, VMID)


async def test_a_name_that_exists_is_reported(ground: Ground) -> None:
    """Nothing is taken, and the job says so: that snapshot is of another moment."""
    await ground.make(rootfs="local-lvm:1")
    api = ground.cluster.api
    await lab_client.done(api, await api.snapshot(NODE, VMID, "before", "theirs"))
    before = await listed(ground)

    record = await ground.run(await ground.command(JobKind.SNAPSHOT, args=ARGS))

    assert record.error is not None
    assert (record.state, record.error.code) == (JobState.FAILED, "snapshot.exists")
    assert [each.field for each in record.error.errors] == ["args.snapshot"]
    assert await listed(ground) == before


async def test_someone_else_is_quicker(ground: Ground) -> None:
    """Taken between the look and the task: the same."""
    await ground.make(rootfs="local-lvm:1")
    message = "snapshot name 'before' already used"
    ground.lab.faults.order(faults.TaskFails(task="vzsnapshot", at="begin", message=message))

    record = await ground.run(await ground.command(JobKind.SNAPSHOT, args=ARGS))

    assert record.error is not None
    assert record.error.code == "proxmox.snapshot-taken"
    assert await listed(ground) == ()


@pytest.mark.parametrize("seconds", [0, 1.5])
async def test_the_answer_of_its_own_is_lost(ground: Ground, seconds: float) -> None:
    """What the job itself began is waited for, and its success is the job's."""
    await ground.make(rootfs="local-lvm:1")
    ground.lab.faults.order(faults.TaskHangs(task="vzsnapshot", seconds=seconds))
    ground.lab.faults.order(faults.LostAnswer(method="POST", path="/nodes/*/lxc/*/snapshot"))

    record = await ground.run(await ground.command(JobKind.SNAPSHOT, args=ARGS))

    assert record.state is JobState.SUCCEEDED, record.error
    assert [each.name for each in await listed(ground)] == ["before"]
    assert len(await ground.cluster.api.tasks(NODE, vmid=VMID, typefilter="vzsnapshot")) == 1
