"""The lock in a container's config: which task holds it, whether it passes by itself, and the wait for that.

Theory of operation. Proxmox refuses nearly every act on a container whose config carries a `lock`. As long as
a task holds it (a nightly backup) a job waits, reports for which, and can be cancelled, since it has begun
nothing. A lock that no running task holds was left by one that died, or set by hand: it does not pass, and
the job fails naming it, who left it and since when; `container.unlock` takes it away. A task that ends just
now is no left-over lock: two looks must agree.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from slipway.contracts.jobs import Target
from slipway.contracts.problems import Conflict
from slipway.provisioner.engine.facts import StepFacts
from slipway.provisioner.host.work import Work
from slipway.proxmox.errors import ContainerLocked, ContainerMissing
from slipway.proxmox.task_answers import Task
from slipway.runtime.process.clock import now

TAKEN_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "backup": ("vzdump",),
        "create": ("vzcreate", "vzrestore", "vzclone"),
        "destroyed": ("vzdestroy",),
        "disk": ("resize", "move_volume"),
        "fstrim": (),
        "migrate": ("vzmigrate",),
        "mounted": (),
        "rollback": ("vzrollback",),
        "snapshot": ("vzsnapshot",),
        "snapshot-delete": ("vzdelsnapshot",),
    }
)
"""Proxmox's locks, and the tasks that take them (PVE::LXC::Config)."""
WITHOUT_TASK: Mapping[str, timedelta] = MappingProxyType({"fstrim": timedelta(minutes=15)})
"""Locks that no task holds and that pass all the same (`pct fstrim`): how long they may take."""
PAUSE_SECONDS = 2.0
REPEAT_SECONDS = 300.0
_MANY = "vzdump"
"""The task of a backup of several guests names none of them."""
_LOOKS = 2


class LockFacts(StepFacts):
    """The wait of a step for a lock."""

    locked_since: datetime | None = None
    """When the step first waited."""


class LeftLocked(Conflict):
    """No running task holds the container's lock: it does not pass by itself."""

    code = "container.left-locked"


class StillLocked(Conflict):
    """The container was locked by another task for longer than a job waits."""

    code = "container.still-locked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A container's lock as it is now."""

    target: Target
    name: str
    holder: Task | None
    """The running task that holds it, if one does."""
    left_by: Task | None
    """The last task that takes such a lock, if none runs."""

    @property
    def passes(self) -> bool:
        """Whether it goes away by itself."""
        return self.holder is not None or self.name in WITHOUT_TASK

    @property
    def description(self) -> str:
        """Who holds it, or who has left it, as a sentence."""
        what = f"Container {self.target.vmid} is locked in Proxmox ({self.name})"
        if self.holder is not None:
            return f"{what}: {_task(self.holder)} works on it."
        if self.name in WITHOUT_TASK:
            return f"{what}."
        if self.left_by is not None:
            return f"{what}, and no task holds the lock: {_task(self.left_by)} left it{_end(self.left_by)}."
        by_hand = "pct mount" if self.name == "mounted" else "pct set --lock"
        return f"{what}, and no task of this kind is known: it may have been locked by hand (`{by_hand}`)."


async def find(work: Work, name: str | None = None) -> Lock | None:
    """Return the lock of the job's container, or of its source; None if there is none (of that name)."""
    for target in (work.command.source, work.target):
        if target is None:
            continue
        try:
            config = await work.config(target)
        except ContainerMissing:
            continue
        if config.lock is not None and name in {None, config.lock}:
            return await look(work, target, config.lock)
    return None


async def look(work: Work, target: Target, name: str) -> Lock:
    """Find the task that holds a lock, or that has left it."""
    api, kinds = work.cluster.api, TAKEN_BY.get(name, ())
    running = await api.tasks(target.node, source="active")
    holder = next((task for task in running if _is_about(task, target, kinds)), None)
    left_by = None
    if holder is None and kinds:
        listed = await api.tasks(target.node, vmid=target.vmid)
        if _MANY in kinds:
            listed = (*listed, *await api.tasks(target.node, typefilter=_MANY))
        left_by = _newest([task for task in listed if _is_about(task, target, kinds)])
    return Lock(target=target, name=name, holder=holder, left_by=left_by)


def left(lock: Lock) -> LeftLocked:
    """Return the error for a lock that does not pass; it says how to remove it."""
    path = f"POST /api/v1/containers/{lock.target.container}/unlock"
    return LeftLocked(
        f"{lock.description} If nothing works on the container, remove the lock ({path}, or `slipway unlock`)"
        " and retry.",
        vmid=lock.target.vmid,
        lock=lock.name,
        upid=lock.left_by.upid if lock.left_by else "",
    )


async def wait(work: Work, error: ContainerLocked, *, limit: timedelta, interruptible: asyncio.Event) -> None:
    """Wait until the lock that refused an act is gone.

    Args:
        work: the run; its step can be cancelled meanwhile.
        error: how the act was refused.
        limit: how long at most, from the step's first such wait.
        interruptible: set while a cancel loses nothing.

    Raises:
        LeftLocked: no running task holds it.
        StillLocked: the limit is reached.
    """
    lock = await find(work, error.lock or None)
    if lock is None:
        return
    since = await _open(work, lock)
    interruptible.set()
    try:
        await _until_free(work, lock, ends=since + min(limit, WITHOUT_TASK.get(lock.name, limit)))
    finally:
        interruptible.clear()
        await _close(work)


async def _until_free(work: Work, first: Lock, *, ends: datetime) -> None:
    loop = asyncio.get_running_loop()
    lock: Lock | None = first
    reported, reported_at, in_vain = "", 0.0, 0
    while lock is not None:
        in_vain = 0 if lock.passes else in_vain + 1
        if in_vain >= _LOOKS:
            raise left(lock)
        if now() >= ends:
            raise StillLocked(
                f"{lock.description} The job has waited as long as it may (`SLIPWAY_LOCK_WAIT`); "
                "retry it later.",
                vmid=lock.target.vmid,
                lock=lock.name,
            )
        if lock.passes and (lock.description != reported or loop.time() - reported_at > REPEAT_SECONDS):
            reported, reported_at = lock.description, loop.time()
            await work.journal.report(f"{reported} The job waits for it, until {ends:%H:%M} UTC at most.")
        await asyncio.sleep(PAUSE_SECONDS)
        lock = await find(work, first.name)


async def _open(work: Work, lock: Lock) -> datetime:
    """Record that the step waits, and can be cancelled; return since when it waits."""
    since = work.facts(LockFacts).locked_since or now()
    facts = LockFacts(locked_since=since)
    await work.journal.commit(
        steps=work.steps_with(facts, is_cancellable=True, message=lock.description), waits_for="lock"
    )
    return since


async def _close(work: Work) -> None:
    is_cancellable = work.step is None or work.step.is_cancellable
    steps = work.steps_with(is_cancellable=is_cancellable, message=None)
    await work.journal.commit(steps=steps, waits_for=None)


def _is_about(task: Task, target: Target, kinds: Sequence[str]) -> bool:
    """Return whether a task may have taken a lock on a container."""
    is_of_many = task.type == _MANY and not task.id
    return task.type in kinds and (task.id == str(target.vmid) or is_of_many)


def _newest(tasks: Sequence[Task]) -> Task | None:
    return max(tasks, key=lambda task: task.upid.starttime, default=None)


def _task(task: Task) -> str:
    began = f"{task.upid.starttime:%Y-%m-%d %H:%M:%S} UTC by the node's clock"
    return f"{task.type} of {task.upid.user}, begun at {began},"


def _end(task: Task) -> str:
    return f" (it ended with {task.status!r})" if task.status else ""
