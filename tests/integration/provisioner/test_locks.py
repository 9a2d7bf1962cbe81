"""The lock in a container's config: waited for while a task holds it, named when nobody does, taken away."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from slipway.contracts.job_kinds import ConfigureArgs, JobKind
from slipway.contracts.jobs import RunRecord
from slipway.contracts.values import JobState
from slipway.lab import faults
from slipway.lab.node import Lab
from slipway.proxmox.errors import TaskLost
from slipway.proxmox.upid import Upid
from support import lab_client
from support.lab_client import NODE
from support.nats import MakeBus
from support.provisioner_side import VMID, Ground, provisioner_on, status_of
from support.waiting import until

CONFIGURE = ConfigureArgs(description="changed")


@pytest.fixture
async def hasty(lab: Lab, make_bus: MakeBus, tmp_path: Path) -> AsyncIterator[Ground]:
    """A worker that waits for no lock longer than a second."""
    async with provisioner_on(lab, make_bus, tmp_path, lock_wait=timedelta(seconds=1)) as ground:
        yield ground


def waits(record: RunRecord) -> bool:
    """Whether the run waits for a lock."""
    return record.waits_for == "lock"


async def back_up(ground: Ground, *, seconds: float | None = None, is_of_many: bool = True) -> Upid:
    """Have the nightly backup run for a while; it has locked the container."""
    ground.lab.faults.order(faults.ForeignTask(vmid=VMID, seconds=seconds, is_of_many=is_of_many))

    async def is_locked() -> bool:
        return (await ground.cluster.api.config(NODE, VMID)).lock == "backup"

    await until(is_locked)
    return (await ground.cluster.api.tasks(NODE, typefilter="vzdump", source="active"))[0].upid


@pytest.mark.parametrize("is_of_many", [True, False])
async def test_a_backup_is_waited_for(ground: Ground, is_of_many: bool) -> None:  # noqa: FBT001
    """The reason is shown while the job waits; then it goes on."""
    await ground.make()
    await back_up(ground, seconds=3, is_of_many=is_of_many)
    running = ground.begin(await ground.command(JobKind.CONFIGURE, args=CONFIGURE))

    waiting = await ground.until_record("j1", waits)
    await running

    record = await ground.record()
    step = waiting.steps[-1]
    assert "vzdump of root@pam" in str(step.message)
    assert step.is_cancellable
    assert record.state is JobState.SUCCEEDED, record.error
    assert (record.waits_for, [each.is_cancellable for each in record.steps][1]) == (None, False)
    assert (await ground.cluster.api.config(NODE, VMID)).description.startswith("changed")


async def test_a_cancel_ends_the_wait(ground: Ground) -> None:
    """At once, also in a step that could not be left half done: nothing is begun yet."""
    await ground.make()
    await back_up(ground)
    command = await ground.command(JobKind.CONFIGURE, args=CONFIGURE)
    running = ground.begin(command)
    await ground.until_record("j1", waits)

    await ground.cancel(command)
    await running

    record = await ground.record()
    assert (record.state, record.waits_for) == (JobState.CANCELLED, None)


async def test_the_wait_is_bounded(hasty: Ground) -> None:
    """Then the error names the lock and who holds it."""
    await hasty.make()
    await back_up(hasty)

    record = await hasty.run(await hasty.command(JobKind.CONFIGURE, args=CONFIGURE))

    assert record.error is not None
    assert (record.error.code, record.error.details["lock"]) == ("container.still-locked", "backup")
    assert "vzdump of root@pam" in record.error.message


async def leave_locked(ground: Ground) -> Upid:
    """Have a snapshot's worker killed: its lock stays."""
    ground.lab.faults.order(faults.WorkerKilled(task="vzsnapshot"))
    upid = await ground.cluster.api.snapshot(NODE, VMID, "half")
    with pytest.raises(TaskLost):
        await lab_client.done(ground.cluster.api, upid)
    return upid


async def test_a_lock_that_was_left_is_named(ground: Ground) -> None:
    """With who has left it and since when; nobody waits for what does not pass."""
    await ground.make(rootfs="local-lvm:1")
    upid = await leave_locked(ground)

    record = await ground.run(await ground.command(JobKind.START))

    assert record.error is not None
    assert (record.error.code, record.error.details["lock"]) == ("container.left-locked", "snapshot")
    assert record.error.details["upid"] == upid
    assert f"vzsnapshot of {upid.user}, begun at {upid.starttime:%Y-%m-%d %H:%M:%S}" in record.error.message
    assert "/unlock" in record.error.message


async def test_it_is_taken_away(ground: Ground) -> None:
    """By a job of its own; after it the container is as any other."""
    await ground.make(rootfs="local-lvm:1")
    await leave_locked(ground)

    unlocked = await ground.run(await ground.command(JobKind.UNLOCK))
    again = await ground.run(await ground.command(JobKind.UNLOCK, "j2"))
    started = await ground.run(await ground.command(JobKind.START, "j3"))

    assert unlocked.state is JobState.SUCCEEDED, unlocked.error
    assert "locked in Proxmox (snapshot)" in str(unlocked.steps[0].message)
    assert (again.steps[0].message, again.steps[1].message) == ("it is not locked", "nothing to do")
    assert started.state is JobState.SUCCEEDED, started.error


async def test_what_a_task_holds_is_not_taken_away(ground: Ground) -> None:
    """Two would work on the container at once."""
    await ground.make()
    upid = await back_up(ground)

    record = await ground.run(await ground.command(JobKind.UNLOCK))

    assert record.error is not None
    assert (record.error.code, record.error.details["upid"]) == ("container.lock-held", upid)
    assert status_of(record, "unlock.task") is None


@pytest.mark.parametrize("lock", ["mounted", "disk", "destroyed"])
async def test_a_lock_without_a_task_is_reported_at_once(ground: Ground, lock: str) -> None:
    """Somebody set it by hand, or its task is long forgotten."""
    await ground.make()
    ground.lab.faults.order(faults.Locked(vmid=VMID, lock=lock))

    record = await ground.run(await ground.command(JobKind.CONFIGURE, args=CONFIGURE))

    assert record.error is not None
    assert (record.error.code, record.error.details["lock"]) == ("container.left-locked", lock)


async def test_a_trim_passes_without_a_task(ground: Ground) -> None:
    """`pct fstrim` is no task, and is waited for all the same."""
    await ground.make()
    ground.lab.faults.order(faults.Locked(vmid=VMID, lock="fstrim", seconds=2))

    record = await ground.run(await ground.command(JobKind.CONFIGURE, args=CONFIGURE))

    assert record.state is JobState.SUCCEEDED, record.error
