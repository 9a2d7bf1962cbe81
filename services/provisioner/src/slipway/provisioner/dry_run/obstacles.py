"""Obstacles to a job on the host, as the container is now: a lock, protection, a template, HA.

Used for plans only: Proxmox itself refuses the job, or does something unexpected. Nothing here waits for
anything or changes anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from slipway.contracts.job_kinds import Args, BackupArgs, ConfigureArgs, JobKind
from slipway.contracts.jobs import RunJob, Target
from slipway.contracts.problems import Conflict, SlipwayError
from slipway.provisioner.host import ha, locks
from slipway.provisioner.host.work import Work
from slipway.provisioner.steps import power
from slipway.provisioner.steps.delete import Protected
from slipway.proxmox.answers import ContainerConfig, ContainerStatus, Power

_ALWAYS: Mapping[JobKind, str] = MappingProxyType(
    {
        JobKind.STOP: "It is stopped at once; what runs in it gets no time to end.",
        JobKind.ROLLBACK: "It is stopped, and stays so: Proxmox leaves it stopped.",
        JobKind.RESTORE: (
            "Proxmox removes the container, its disks and snapshots before it unpacks the backup: if the "
            "archive turns out to be damaged, the container is gone."
        ),
    }
)
_WHILE_RUNNING: Mapping[JobKind, str] = MappingProxyType(
    {
        JobKind.DELETE: "It runs, and is stopped first.",
        JobKind.MIGRATE: "It runs: it is shut down here and started on the other node.",
        JobKind.RESTORE: "It runs: it is stopped for the restore, and started again.",
        JobKind.SHUTDOWN: "If it has not shut down after {grace} s, it is stopped.",
        JobKind.RESTART: "If it has not rebooted after {grace} s, it is stopped and started.",
    }
)
_ASKS_HA = "HA manages it: Proxmox only notes the wish, and the job waits until HA has done it."
_ASKING_HA = frozenset({JobKind.START, JobKind.STOP, JobKind.SHUTDOWN, JobKind.MIGRATE})
_IN_HA: Mapping[JobKind, str] = MappingProxyType(
    {
        **dict.fromkeys((*_ASKING_HA, JobKind.RESTORE), _ASKS_HA),
        JobKind.DELETE: "HA manages it: it is taken out of HA as well (purge).",
        JobKind.ROLLBACK: "HA manages it: what HA wants started, it starts again after the rollback.",
    }
)
_NOT_OF_TEMPLATES = frozenset({JobKind.START, JobKind.RESTART, JobKind.SNAPSHOT, JobKind.ROLLBACK})
_CLEARING = frozenset({JobKind.DELETE, JobKind.RESTORE})
"""Kinds that clear away what a killed creation left."""
_PROTECTED_STILL: Mapping[JobKind, str] = MappingProxyType(
    {JobKind.ROLLBACK: "It is protected in Proxmox, which does not keep it from being rolled back."}
)


class IsTemplate(Conflict):
    """Proxmox has made a template of it."""

    code = "container.is-template"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A container on its host, as it is now."""

    target: Target
    config: ContainerConfig
    status: ContainerStatus
    lock: locks.Lock | None = None


async def observe(work: Work) -> Observation | None:
    """Observe the job's container, of a copy its source; None if there is none yet, or it can't be read."""
    target = work.command.source or (None if work.command.kind.creates_container else work.target)
    if target is None:
        return None
    try:
        config = await work.config(target)
        status = await work.status(target)
        lock = await locks.look(work, target, config.lock) if config.lock is not None else None
    except SlipwayError:
        # The job's own steps say what is wrong.
        return None
    return Observation(target=target, config=config, status=status, lock=lock)


def refusal(command: RunJob, observation: Observation) -> SlipwayError | None:
    """Return the error with which Proxmox would refuse the job's first act; None if none is known."""
    kind, config, lock, vmid = command.kind, observation.config, observation.lock, observation.target.vmid
    if lock is not None and not lock.passes and not (lock.name == "create" and kind in _CLEARING):
        return None if kind is JobKind.UNLOCK else locks.left(lock)
    if config.template and kind in _NOT_OF_TEMPLATES:
        return IsTemplate(
            f"Container {vmid} is a template in Proxmox: it can be cloned, and is never started, snapshotted "
            "or rolled back.",
            vmid=vmid,
        )
    if kind in _ASKING_HA and observation.status.ha.state in ha.BROKEN:
        return ha.broken(vmid, observation.status.ha.state)
    if config.protection and (gone := _removed(command.args, config)):
        return Protected(
            f"Container {vmid} is protected in Proxmox, which then lets no disk or folder of it be removed "
            f"({gone}). Take the protection off first, or in the same request.",
            vmid=vmid,
        )
    return None


def warnings(command: RunJob, observation: Observation | None) -> Iterator[str]:
    """Yield warnings about the job, as its container is now if it was observed."""
    kind = command.kind
    if kind in _ALWAYS:
        yield _ALWAYS[kind]
    if observation is None:
        return
    is_running = observation.status.status is Power.RUNNING
    if is_running and kind in _WHILE_RUNNING:
        yield _WHILE_RUNNING[kind].format(grace=power.grace_seconds(command.args))
    if is_running and isinstance(command.args, BackupArgs) and command.args.mode == "stop":
        yield "It runs: it is shut down for the backup, and started again."
    if observation.status.ha.managed and kind in _IN_HA:
        yield _IN_HA[kind]
    if observation.config.protection and kind in _PROTECTED_STILL:
        yield _PROTECTED_STILL[kind]
    if (lock := observation.lock) is not None:
        yield f"{lock.description} The job waits for its end." if lock.passes else lock.description


def _removed(args: Args, config: ContainerConfig) -> str:
    """Return the names of the mounts that a change would remove."""
    if not isinstance(args, ConfigureArgs) or args.mounts is None or args.protection is False:
        return ""
    remaining = {mount.path for mount in args.mounts}
    binds = {key: each for key, each in config.mounts.items() if each.get("volume", "").startswith("/")}
    return ", ".join(sorted(key for key, each in binds.items() if each.get("mp") not in remaining))
