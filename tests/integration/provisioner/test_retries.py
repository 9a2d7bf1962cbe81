"""A retry that leaves steps knows what they had found out."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from slipway.contracts.job_kinds import JobKind, MigrateArgs, RestoreArgs, ShutdownArgs
from slipway.contracts.values import JobState
from slipway.lab import faults
from slipway.proxmox.answers import Power
from support.lab import running_lab
from support.nats import MakeBus
from support.provisioner_side import VMID, Ground, facts_of, provisioner_on, status_of

NEW = 200


@pytest.fixture
async def two(make_bus: MakeBus, tmp_path: Path) -> AsyncIterator[Ground]:
    """A worker before a cluster of two nodes."""
    async with (
        running_lab(tmp_path / "two", nodes=2) as lab,
        provisioner_on(lab, make_bus, tmp_path) as ground,
    ):
        yield ground


@pytest.mark.parametrize("kind", [JobKind.SHUTDOWN, JobKind.RESTART])
async def test_what_did_not_listen_is_stopped(ground: Ground, kind: JobKind) -> None:
    """That it was asked in vain is known, and it is stopped at last."""
    await ground.make(runs=True)
    ground.lab.faults.order(faults.NeverStops())
    ground.lab.faults.order(faults.TaskFails(task="vzstop"))
    command = await ground.command(kind, args={"grace_seconds": 1})
    failed = await ground.run(command)

    record = await ground.retry(command)

    step = f"{str(kind).partition('.')[2]}.stop"
    assert (failed.state, record.state) == (JobState.FAILED, JobState.SUCCEEDED), record.error
    assert status_of(record, step) == "finished"
    assert await ground.is_running() is (kind is JobKind.RESTART)


async def test_a_copy_is_made_from_a_snapshot_again(ground: Ground) -> None:
    """The first one was removed with the failure."""
    await ground.make(rootfs="local-lvm:1", runs=True)
    ground.lab.faults.order(faults.TaskFails(task="vzclone"))
    source, target = ground.target(), ground.target(NEW, "c2")
    command = await ground.command(JobKind.CLONE, source=source, target=target)
    failed = await ground.run(command)

    record = await ground.retry(command)

    assert (failed.state, record.state) == (JobState.FAILED, JobState.SUCCEEDED), record.error
    assert await ground.cluster.api.snapshots(ground.lab.name, source.vmid) == ()
    assert await ground.is_there(NEW)


async def test_the_snapshot_of_a_copy_is_removed(ground: Ground) -> None:
    """Its name is the one that the first job gave it."""
    await ground.make(rootfs="local-lvm:1", runs=True)
    ground.lab.faults.order(faults.TaskFails(task="vzdelsnapshot", times=2))
    source, target = ground.target(), ground.target(NEW, "c2")
    command = await ground.command(JobKind.CLONE, source=source, target=target)
    failed = await ground.run(command)
    left = await ground.cluster.api.snapshots(ground.lab.name, source.vmid)

    record = await ground.retry(command)

    assert (failed.state, record.state) == (JobState.FAILED, JobState.SUCCEEDED), record.error
    assert len(left) == 1
    assert await ground.cluster.api.snapshots(ground.lab.name, source.vmid) == ()


async def test_a_creation_finds_its_template_again(ground: Ground) -> None:
    """The name of the volume, not that of the archive, is what Proxmox takes."""
    volume = (await ground.cluster.api.content(ground.lab.name, "local", kind="vztmpl"))[0].volid
    ground.lab.faults.order(faults.WorkerKilled(task="vzcreate", times=2))
    command = await ground.command(JobKind.CREATE)
    spec = command.spec.model_copy(update={"ostemplate": volume.rpartition("/")[2]})
    command = command.model_copy(update={"spec": spec, "first_step": None})
    failed = await ground.run(command)

    again = command.model_copy(update={"job": "j2", "retry_of": "j1", "first_step": "create.task"})
    record = await ground.run(again)

    assert (failed.state, record.state) == (JobState.FAILED, JobState.SUCCEEDED), record.error
    assert facts_of(record, "create.ostemplate") == {"volume": volume}


async def test_a_restore_starts_what_had_run(ground: Ground) -> None:
    """The retry meets a container that the first job had stopped."""
    await ground.make(runs=True)
    backup = await ground.command(JobKind.BACKUP, "j0")
    made = facts_of(await ground.run(backup), "backup.task")["backup"]
    ground.lab.faults.order(faults.TaskFails(task="vzrestore", at="begin"))
    command = await ground.command(JobKind.RESTORE, args=RestoreArgs(backup=made))
    failed = await ground.run(command)

    record = await ground.retry(command)

    assert (failed.state, record.state) == (JobState.FAILED, JobState.SUCCEEDED), record.error
    assert await ground.is_running()


async def test_what_ran_before_a_move_runs_after_it(two: Ground) -> None:
    """The retry moves it as the first job would have."""
    await two.make(runs=True)
    two.lab.faults.order(faults.TaskFails(task="vzmigrate", at="begin"))
    command = await two.command(JobKind.MIGRATE, args=MigrateArgs(target_node=two.lab.names[1]))
    failed = await two.run(command)

    record = await two.retry(command)

    assert (failed.state, record.state) == (JobState.FAILED, JobState.SUCCEEDED), record.error
    status = await two.cluster.api.status(two.lab.names[1], VMID)
    assert status.status is Power.RUNNING


async def test_a_retry_takes_no_task_over(ground: Ground) -> None:
    """What is known of a task is its job's alone."""
    await ground.make(runs=True)
    ground.lab.faults.order(faults.NeverStops())
    ground.lab.faults.order(faults.TaskFails(task="vzstop"))
    command = await ground.command(JobKind.SHUTDOWN, args=ShutdownArgs(grace_seconds=1))
    await ground.run(command)

    record = await ground.retry(command)

    assert facts_of(record, "shutdown.ask") == {"in_vain": "yes"}
