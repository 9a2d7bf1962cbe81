"""A restore that fails: what is left of the container is reported, and made good by the next one."""

from pathlib import Path

from slipway.contracts.job_kinds import JobKind, RestoreArgs
from slipway.contracts.jobs import RunRecord
from slipway.contracts.values import JobState
from slipway.lab import faults
from support.lab_client import NODE
from support.provisioner_side import VMID, Ground, facts_of, status_of


async def backed_up(ground: Ground, job: str = "b1") -> str:
    """Make a backup; give its volume."""
    record = await ground.run(await ground.command(JobKind.BACKUP, job))
    assert record.state is JobState.SUCCEEDED, record.error
    return facts_of(record, "backup.task")["backup"]


def archive(ground: Ground, volume: str) -> Path:
    """Return the file behind a backup."""
    return next(ground.lab.data.rglob(volume.rpartition("/")[2]))


async def restored(ground: Ground, volume: str, job: str = "r1", *, ran_before: bool = False) -> RunRecord:
    """Go back to a backup."""
    command = await ground.command(
        JobKind.RESTORE, job, args=RestoreArgs(backup=volume), ran_before=ran_before
    )
    return await ground.run(command)


def code_of(record: RunRecord) -> str | None:
    """Return the code of a run's error."""
    return record.error.code if record.error else None


async def test_a_damaged_archive_costs_the_container(ground: Ground) -> None:
    """Proxmox removes first and unpacks then: the job says so, with the cause and the way on."""
    await ground.make(runs=True)
    volume = await backed_up(ground)
    damaged = archive(ground, volume)
    damaged.write_bytes(damaged.read_bytes()[:600])

    record = await restored(ground, volume)

    assert record.error is not None
    assert (record.state, record.error.code) == (JobState.FAILED, "restore.container-lost")
    assert "Unexpected EOF in archive" in record.error.message
    assert "is gone" in record.error.message
    assert "It is started once that has succeeded" in record.error.message
    assert not record.exists_on_host
    assert not await ground.is_there()


async def test_another_backup_makes_it_good(ground: Ground) -> None:
    """Under its VMID, with its mark, and running as it had been."""
    await ground.make(runs=True)
    good, bad = await backed_up(ground), await backed_up(ground, "b2")
    archive(ground, bad).write_bytes(archive(ground, bad).read_bytes()[:600])
    lost = await restored(ground, bad)

    record = await restored(ground, good, "r2", ran_before=bool(facts_of(lost, "restore.look").get("ran")))

    assert code_of(lost) == "restore.container-lost"
    assert record.state is JobState.SUCCEEDED, record.error
    assert record.exists_on_host
    assert await ground.is_running()
    started = await ground.run(await ground.command(JobKind.START, "s1"))
    assert started.state is JobState.SUCCEEDED, started.error


async def test_what_is_no_archive_is_refused_before_anything(ground: Ground) -> None:
    """Its head is read first: the container goes on running."""
    await ground.make(runs=True)
    volume = await backed_up(ground)
    archive(ground, volume).write_bytes(b"nonsense" * 200)

    record = await restored(ground, volume)

    assert record.error is not None
    assert (record.error.code, record.error.errors[0].field) == ("backup.damaged", "args.backup")
    assert "archive contains no configuration file" in record.error.message
    assert status_of(record, "restore.stop") is None
    assert await ground.is_running()


async def test_an_empty_archive_is_refused(ground: Ground) -> None:
    """What a full storage leaves."""
    await ground.make()
    volume = await backed_up(ground)
    archive(ground, volume).write_bytes(b"")

    assert code_of(await restored(ground, volume)) == "backup.damaged"


async def test_a_restore_that_replaced_nothing_leaves_all_as_it_was(ground: Ground) -> None:
    """What ran is started again."""
    await ground.make(runs=True)
    volume = await backed_up(ground)
    ground.lab.faults.order(faults.TaskFails(task="vzrestore", at="begin", message="storage is away"))

    record = await restored(ground, volume)

    assert record.error is not None
    assert record.error.code == "restore.failed"
    assert "as it was and runs again" in record.error.message
    assert record.exists_on_host
    assert await ground.is_running()


async def test_a_killed_restore_is_no_container(ground: Ground) -> None:
    """What it leaves nobody can use; the retry clears it away and starts what ran."""
    await ground.make(runs=True)
    volume = await backed_up(ground)
    ground.lab.faults.order(faults.WorkerKilled(task="vzrestore", times=2))
    command = await ground.command(JobKind.RESTORE, args=RestoreArgs(backup=volume))
    failed = await ground.run(command)

    record = await ground.retry(command)

    assert (code_of(failed), failed.exists_on_host) == ("proxmox.task-lost", False)
    assert record.state is JobState.SUCCEEDED, record.error
    assert await ground.is_running()
    assert (await ground.cluster.api.config(NODE, VMID)).lock is None
