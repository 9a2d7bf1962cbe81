"""A plan says what its job will meet: a lock, protection, a template, HA."""

from typing import Any

import pytest

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.plans import Explained
from slipway.lab import faults
from slipway.provisioner.host import marks
from slipway.runtime.bus.call import Call
from support import lab_client
from support.provisioner_side import VMID, Ground
from support.waiting import until

THIN = "local-lvm:1"
CALL = Call(actor="user:test", correlation_id="test")
CHANGES: list[tuple[JobKind, dict[str, Any]]] = [
    (JobKind.STOP, {}),
    (JobKind.SHUTDOWN, {}),
    (JobKind.RESTART, {}),
    (JobKind.RESIZE, {"memory": 320}),
    (JobKind.CONFIGURE, {"hostname": "other"}),
    (JobKind.SNAPSHOT, {"snapshot": "now"}),
    (JobKind.ROLLBACK, {"snapshot": "before"}),
    (JobKind.SNAPSHOT_DELETE, {"snapshot": "before"}),
    (JobKind.BACKUP, {}),
    (JobKind.DELETE, {}),
]


async def explained(ground: Ground, kind: JobKind, **args: Any) -> Explained:
    """Ask what a job would do."""
    return await ground.explain(await ground.command(kind, args=args))


async def locked(ground: Ground) -> None:
    """Have a backup that died in the middle: its lock stays."""
    ground.lab.faults.order(faults.WorkerKilled(task="vzdump"))
    api = ground.cluster.api
    upid = await api.backup(ground.lab.name, VMID, storage="local", mode="snapshot")

    async def has_ended() -> bool:
        return (await api.task_status(upid)).status != "running"

    await until(has_ended, within_seconds=20)
    assert (await api.config(ground.lab.name, VMID)).lock == "backup"


def fault(report: Explained) -> str | None:
    """Return the code of what fails first."""
    return next((step.problem.code for step in report.steps if step.problem is not None), None)


async def test_a_lock_is_named(ground: Ground) -> None:
    """Whatever the job is: what would act fails, with the lock's name; nothing is changed."""
    await ground.make(runs=True, rootfs=THIN)
    api = ground.cluster.api
    await lab_client.done(api, await api.snapshot(ground.lab.name, VMID, "before", ""))
    free = [await explained(ground, kind, **args) for kind, args in CHANGES]
    await locked(ground)

    reports = [await explained(ground, kind, **args) for kind, args in CHANGES]

    assert [fault(each) for each in free] == [None] * len(CHANGES)
    assert [fault(each) for each in reports] == ["container.left-locked"] * len(CHANGES)
    assert all(any("(backup)" in text for text in each.warnings) for each in reports)
    assert (await api.config(ground.lab.name, VMID)).lock == "backup"


async def test_protection_is_named(ground: Ground) -> None:
    """A deletion fails; a rollback, which Proxmox does all the same, warns; taking a mount away fails."""
    await ground.make(rootfs=THIN)
    api = ground.cluster.api
    await lab_client.done(api, await api.snapshot(ground.lab.name, VMID, "before", ""))
    await ground.cluster.pct(ground.lab.name).set_options(VMID, {"mp0": "/srv,mp=/media"})
    await api.set_config(ground.lab.name, VMID, {"protection": True})

    deletion = await explained(ground, JobKind.DELETE)
    rollback = await explained(ground, JobKind.ROLLBACK, snapshot="before")
    unmount = await explained(ground, JobKind.CONFIGURE, mounts=())
    freed = await explained(ground, JobKind.CONFIGURE, mounts=(), protection=False)

    assert fault(deletion) == "container.protected"
    assert (fault(rollback), any("protected" in each for each in rollback.warnings)) == (None, True)
    assert fault(unmount) == "container.protected"
    assert fault(freed) is None


async def test_ha_is_named(ground: Ground) -> None:
    """Where HA acts in Proxmox's place, it is reported."""
    await ground.make(runs=True, rootfs=THIN)
    api = ground.cluster.api
    await lab_client.done(api, await api.snapshot(ground.lab.name, VMID, "before", ""))
    ground.lab.faults.order(faults.HaManaged(vmid=VMID))

    stop = await explained(ground, JobKind.STOP)
    rollback = await explained(ground, JobKind.ROLLBACK, snapshot="before")
    snapshot = await explained(ground, JobKind.SNAPSHOT, snapshot="now")

    assert any("waits until HA has done it" in each for each in stop.warnings)
    assert any("starts again after the rollback" in each for each in rollback.warnings)
    assert not any("HA" in each for each in snapshot.warnings)


async def test_a_backup_that_stops_it_says_so(ground: Ground) -> None:
    """Only while it runs, and only in that mode."""
    await ground.make(runs=True)

    stops = await explained(ground, JobKind.BACKUP, mode="stop")
    stays = await explained(ground, JobKind.BACKUP)

    assert stops.warnings == ("It runs: it is shut down for the backup, and started again.",)
    assert stays.warnings == ()


@pytest.mark.parametrize(
    ("kind", "args"),
    [(JobKind.START, {}), (JobKind.RESTART, {}), (JobKind.SNAPSHOT, {"snapshot": "now"})],
)
async def test_a_template_is_named(ground: Ground, kind: JobKind, args: dict[str, Any]) -> None:
    """Proxmox never starts one."""
    notes = marks.notes(None, ground.target(), "j0", mac=None)
    await lab_client.create(ground.cluster, VMID, rootfs=THIN, description=notes, template=1)

    report = await explained(ground, kind, **args)

    assert fault(report) == "container.is-template"


async def test_the_plan_of_a_retry_runs_nothing_in_the_guest(ground: Ground) -> None:
    """Its script is shown, not run; packages and scripts go another way into the guest than requests."""
    bundle = await ground.bundle(a="echo it runs; exit 3")
    command = await ground.command(JobKind.CREATE, bundle=bundle)
    await ground.run(command)
    before = await ground.lines()

    plan = await ground.explain(command.model_copy(update={"first_step": "sync.script.0", "job": "j2"}))

    script = next(step for step in plan.steps if step.name == "sync.script.0")
    assert (script.effect, script.request) == ("acts", "pct exec 100 ... (on node lab, over SSH)")
    assert before.count("it runs") == 1
    assert await ground.lines() == before
    assert await ground.lines("j2") == []
