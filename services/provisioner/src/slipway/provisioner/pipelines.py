"""The steps of each kind of job, in their order. To change what happens after a step, look here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob
from slipway.contracts.values import Phase
from slipway.provisioner.engine.step import Step
from slipway.provisioner.host import packages, tasks
from slipway.provisioner.host.site import is_set
from slipway.provisioner.host.work import Work
from slipway.provisioner.steps import (
    backups,
    clone,
    configure,
    create,
    delete,
    deploy,
    finalize,
    health,
    host_access,
    migrate,
    os_templates,
    power,
    restore,
    site,
    snapshots,
    start,
    sync,
    unlock,
)

_look = partial(Step[Work], looks_first=True)
"""A step that changes nothing as a rule, or writes the record before it does."""
_task = partial(_look, cancel=tasks.cancel)
"""A step that runs a Proxmox task, whose coming call it writes down first: a cancel stops the task."""
_in_guest = partial(
    Step[Work],
    cancel=sync.cancel,
    ended_by=frozenset({sync.ScriptFailed.code, sync.PackagesFailed.code}),
)
"""A step whose work in the guest goes on without this process."""


CREATE: Mapping[Phase, tuple[Step[Work], ...]] = MappingProxyType(
    {
        Phase.CREATE: (
            Step(name="create.preflight", act=create.preflight),
            _task(name="create.ostemplate", act=create.ostemplate),
            _task(name="create.task", act=create.create),
            _look(name="create.features", act=create.features),
            _look(name="create.restricted", act=host_access.apply),
            _look(name="create.verify", act=create.verify),
        ),
        Phase.START: (
            _task(name="start.task", act=start.start, is_repeated=True),
            _look(name="start.address", act=start.address, is_repeated=True),
            _look(name="start.ready", act=start.ready, is_repeated=True, looks_after=True),
        ),
        Phase.DEPLOY: (Step(name="deploy.files", act=deploy.files),),
        Phase.SYNC: (),
        Phase.FINALIZE: (
            Step(name="finalize.health", act=health.health),
            _look(name="finalize.discover", act=finalize.discover, looks_after=True),
        ),
    }
)
"""Sync's steps come from the template: `sync_steps`."""
SITE = Step[Work](name="start.site", act=site.apply)
"""One of those of start, if there is anything to set up."""
PERCENTS: Mapping[Phase, range] = MappingProxyType(
    {
        Phase.CREATE: range(20),
        Phase.START: range(20, 35),
        Phase.DEPLOY: range(35, 60),
        Phase.SYNC: range(60, 90),
        Phase.FINALIZE: range(90, 100),
    }
)
"""The share of each phase in a creation."""
OTHERS: Mapping[JobKind, tuple[Step[Work], ...]] = MappingProxyType(
    {
        JobKind.DELETE: (
            Step(name="delete.look", act=delete.look_before_deletion),
            _task(name="delete.stop", act=delete.stop),
            _task(name="delete.task", act=delete.delete, is_cancellable=False),
        ),
        JobKind.START: (
            Step(name="start.look", act=power.look),
            _task(name="start.task", act=start.start),
            _look(name="start.discover", act=finalize.rediscover, is_repeated=True, looks_after=True),
        ),
        JobKind.STOP: (
            Step(name="stop.look", act=power.look),
            _task(name="stop.task", act=power.stop),
        ),
        JobKind.SHUTDOWN: (
            Step(name="shutdown.look", act=power.look),
            _task(name="shutdown.ask", act=power.shut_down),
            _task(name="shutdown.stop", act=power.stop_after_grace),
        ),
        JobKind.RESTART: (
            Step(name="restart.look", act=power.look),
            _task(name="restart.reboot", act=power.reboot),
            _task(name="restart.stop", act=power.stop_after_grace),
            _task(name="restart.start", act=start.start),
            _look(name="restart.discover", act=finalize.rediscover, is_repeated=True, looks_after=True),
        ),
        JobKind.RESIZE: (
            Step(name="resize.look", act=configure.look_at_sizes),
            Step(name="resize.config", act=configure.resize, is_cancellable=False),
            _task(name="resize.disk", act=configure.grow_disk, is_cancellable=False),
        ),
        JobKind.CONFIGURE: (
            Step(name="configure.look", act=host_access.look),
            Step(name="configure.config", act=configure.configure, is_cancellable=False),
            Step(name="configure.features", act=configure.set_features, is_cancellable=False),
            Step(name="configure.restricted", act=host_access.apply, is_cancellable=False),
            _look(name="configure.discover", act=finalize.rediscover_networks, looks_after=True),
        ),
        JobKind.REVERT: (
            Step(name="revert.look", act=power.look),
            Step(name="revert.config", act=configure.revert, is_cancellable=False),
        ),
        JobKind.SNAPSHOT: (
            Step(name="snapshot.look", act=snapshots.look),
            _task(name="snapshot.task", act=snapshots.take, is_cancellable=False),
        ),
        JobKind.ROLLBACK: (
            Step(name="rollback.look", act=snapshots.look_for_snapshot),
            _task(name="rollback.task", act=snapshots.roll_back, is_cancellable=False),
        ),
        JobKind.SNAPSHOT_DELETE: (
            Step(name="snapshot-delete.look", act=power.look),
            _task(name="snapshot-delete.task", act=snapshots.delete, is_cancellable=False),
        ),
        JobKind.BACKUP: (
            Step(name="backup.look", act=backups.choose_storage, is_repeated=True),
            _task(name="backup.task", act=backups.make),
        ),
        JobKind.RESTORE: (
            Step(name="restore.look", act=restore.look_for_backup, is_repeated=True),
            _task(name="restore.stop", act=delete.stop, is_repeated=True),
            _task(name="restore.task", act=restore.restore, is_cancellable=False, looks_first=False),
            Step(name="restore.mark", act=restore.mark, is_cancellable=False),
            _task(name="restore.start", act=restore.start_again),
            _look(name="restore.discover", act=finalize.rediscover, is_repeated=True, looks_after=True),
        ),
        JobKind.CLONE: (
            Step(name="clone.look", act=clone.look),
            _task(name="clone.snapshot", act=clone.take_snapshot),
            _task(name="clone.task", act=clone.copy, retried_from="clone.look"),
            _task(name="clone.snapshot-delete", act=clone.delete_snapshot, is_cancellable=False),
            Step(name="clone.mark", act=clone.mark),
        ),
        JobKind.UNLOCK: (
            Step(name="unlock.look", act=unlock.look),
            Step(name="unlock.task", act=unlock.unlock, is_cancellable=False),
        ),
        JobKind.OS_TEMPLATE_DOWNLOAD: (
            Step(name="os-template.look", act=os_templates.look),
            _task(name="os-template.task", act=os_templates.download),
            _look(name="os-template.verify", act=os_templates.verify),
        ),
        JobKind.MIGRATE: (
            Step(name="migrate.look", act=migrate.look),
            _task(name="migrate.task", act=migrate.move, is_cancellable=False),
            _look(name="migrate.discover", act=finalize.rediscover, is_repeated=True, looks_after=True),
        ),
    }
)
"""Jobs on what exists; each looks first, and has percent by steps."""


def plan(work: Work) -> tuple[Step[Work], ...]:
    """Return the steps of a job; the same for every owner of its run."""
    if work.command.kind is not JobKind.CREATE:
        return _placed(OTHERS[work.command.kind])
    return tuple(
        step
        for phase, steps in CREATE.items()
        for step in _placed(_steps_of(phase, steps, work), phase, PERCENTS[phase])
    )


def _steps_of(phase: Phase, steps: tuple[Step[Work], ...], work: Work) -> tuple[Step[Work], ...]:
    """Return the steps of one phase of a creation."""
    if phase is Phase.SYNC:
        return sync_steps(work)
    if phase is Phase.START and is_set(work.spec.guest):
        # Before the guest's package mirror is asked for.
        return (*steps[:-1], SITE, steps[-1])
    return steps


def first(command: RunJob) -> Step[Work] | None:
    """Return the first step of a job; none of a retry, where the facts of the retried job belong to it."""
    if command.retry_of is not None:
        return None
    if command.kind is not JobKind.CREATE:
        return _placed(OTHERS[command.kind])[0]
    phase, steps = next(iter(CREATE.items()))
    return _placed(steps, phase, PERCENTS[phase])[0]


def sync_steps(work: Work) -> tuple[Step[Work], ...]:
    """Return the steps of phase sync: one for each package manager, then the scripts in their order."""
    scripts = _scripts(work)
    installs = [
        _in_guest(name=f"sync.packages.{manager}", act=partial(sync.install, manager=manager))
        for manager in packages.by_manager(work)
    ]
    runs = [
        _in_guest(
            name=f"sync.script.{index}",
            act=partial(sync.script, name=name),
            script=name,
            index=index,
            total=len(scripts),
        )
        for index, name in enumerate(scripts)
    ]
    first, *others = [*(installs or [_look(name="sync.packages", act=sync.nothing)]), *runs]
    return replace(first, scripts=scripts), *others


def _scripts(work: Work) -> tuple[str, ...]:
    if work.bundle is None:
        return ()
    enabled = tuple(each.name for each in work.bundle.manifest.scripts if each.is_enabled)
    return enabled if work.spec.scripts is None else work.spec.scripts


def _placed(
    steps: Sequence[Step[Work]], phase: Phase | None = None, percents: range = range(100)
) -> tuple[Step[Work], ...]:
    """Return steps with their phase, if they have one, and their equal shares of its percents."""
    number, begins, span = len(steps), percents.start, len(percents)
    return tuple(
        replace(
            step,
            phase=phase,
            percent=begins + span * index // number,
            percent_after=begins + span * (index + 1) // number,
            opens_phase=index == 0,
            closes_phase=index == number - 1,
        )
        for index, step in enumerate(steps)
    )
