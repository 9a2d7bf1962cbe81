"""Room on storages: what can't be is refused before anything is made, what may not fit is reported."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from slipway.contracts.job_kinds import JobKind, ResizeArgs
from slipway.contracts.plans import Explained
from slipway.lab import faults
from slipway.lab.host.storages import GIB, STORAGES, Storage
from slipway.lab.node import Lab
from slipway.proxmox.errors import TaskFailed
from slipway.runtime.bus.call import Call
from support import lab_client
from support.lab import running_lab
from support.provisioner_side import VMID, Ground, status_of

THICK = Storage(name="thick", type="lvm", content=("images", "rootdir"), total_bytes=20 * GIB)
CALL = Call(actor="user:test", correlation_id="test")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A node with a volume group that has no thin pool."""
    async with running_lab(tmp_path / "lab", storages=(*STORAGES, THICK)) as lab:
        yield lab


async def explained(ground: Ground, kind: JobKind, **args: Any) -> Explained:
    """Ask what a job would do."""
    return await ground.explain(await ground.command(kind, args=args))


@pytest.mark.parametrize(("storage", "is_refused"), [("thick", True), ("local-lvm", False)])
async def test_a_disk_larger_than_its_group(ground: Ground, storage: str, *, is_refused: bool) -> None:
    """Thick LVM is refused with what is free, and nothing is made; a thin pool takes a disk beyond it."""
    command = await ground.command(JobKind.CREATE)
    spec = command.spec.model_copy(update={"storage": storage, "disk": 900})

    record = await ground.run(command.model_copy(update={"spec": spec}))

    if not is_refused:
        assert record.error is None or record.error.code != "preflight.failed"
        return
    assert record.error is not None
    assert record.error.code == "preflight.failed"
    assert [each.field for each in record.error.errors] == ["disk"]
    assert "18 GiB free" in record.error.message
    assert not await ground.is_there()


async def test_a_privileged_one_without_the_right(ground: Ground) -> None:
    """Proxmox would refuse it: so does the plan, and the job before anything is made, naming the field."""
    command = await ground.command(JobKind.CREATE)
    command = command.model_copy(update={"spec": command.spec.model_copy(update={"unprivileged": False})})

    plan = await ground.explain(command)
    record = await ground.run(command)

    assert (plan.steps[0].effect, "Sys.Modify on /" in str(plan.steps[0].message)) == ("fails", True)
    assert record.error is not None
    assert [each.field for each in record.error.errors] == ["unprivileged"]
    assert not await ground.is_there()


async def test_a_disk_that_grows_beyond_its_group(ground: Ground) -> None:
    """It is refused naming the field, in the plan and in the job, before memory or cores are changed."""
    await ground.make(rootfs="thick:1")

    report = await explained(ground, JobKind.RESIZE, disk=2000, memory=320)
    record = await ground.run(await ground.command(JobKind.RESIZE, args=ResizeArgs(disk=2000, memory=320)))

    assert [step.problem.code for step in report.steps if step.problem is not None] == ["storage.no-room"]
    assert record.error is not None
    assert (record.error.code, record.error.errors[0].field) == ("storage.no-room", "args.disk")
    assert status_of(record, "resize.config") != "finished"
    assert (await ground.cluster.api.config(ground.lab.name, VMID)).memory != 320


async def test_the_group_refuses_it_too(ground: Ground) -> None:
    """The lab is as strict as a volume group: the task fails with lvcreate's words."""
    with pytest.raises(TaskFailed, match="insufficient free space"):
        await lab_client.create(ground.cluster, VMID, rootfs="thick:900")


async def test_a_backup_that_may_not_fit(ground: Ground) -> None:
    """The plan compares what is written with what is free; a storage with room is not worth a word."""
    await ground.make(runs=True)
    free = await explained(ground, JobKind.BACKUP, storage="backup")
    ground.lab.faults.order(faults.StorageFull(storage="backup"))

    report = await explained(ground, JobKind.BACKUP, storage="backup")

    assert not any("free" in each for each in free.warnings)
    assert [each for each in report.warnings if "storage backup has 0 GiB free" in each]
