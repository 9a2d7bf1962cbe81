"""What a job will meet on the host, as the container is there now: a lock, protection, a template, HA.

Asked for a plan only: Proxmox itself refuses the job, or does something else than one may think. Nothing here
waits for anything or changes anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from slipway.contracts.job_kinds import Args, BackupArgs, ConfigureArgs, JobKind
from slipway.contracts.jobs import RunJob, Target
from slipway.contracts.problems import Conflict, SlipwayError
from slipway.provisioner.host import ha, locks
from slipway.provisioner.steps import power
from slipway.provisioner.steps.delete import Protected
from slipway.provisioner.steps.work import Work
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
_ASKS_HA = "HA looks after it: Proxmox only notes the wish, and the job waits until HA has done it."
_IN_HA: Mapping[JobKind, str] = MappingProxyType(
    {
        JobKind.START: _ASKS_HA,
        JobKind.STOP: _ASKS_HA,
        JobKind.SHUTDOWN: _ASKS_HA,
        JobKind.MIGRATE: _ASKS_HA,
        JobKind.RESTORE: _ASKS_HA,
        JobKind.DELETE: "HA looks after it: it is taken out of HA as well (purge).",
        JobKind.ROLLBACK: "HA looks after it: what HA wants started, it starts again after the rollback.",
    }
)
_ASKING_HA = frozenset({JobKind.START, JobKind.STOP, JobKind.SHUTDOWN, JobKind.MIGRATE})
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
class Seen:
    """A container on its host, as it is now."""

    target: Target
    config: ContainerConfig
    status: ContainerStatus
    lock: locks.Lock | None = None

    @property
    def runs(self) -> bool:
        """Whether it runs."""
        return self.status.status is Power.RUNNING


async def see(work: Work) -> Seen | None:
    """Give what the job works on: of a copy its source; None if there is nothing yet, or it can't be read."""
    target = work.command.source or (None if work.command.kind.creates_container else work.target)
    if target is None:
        return None
    api = work.cluster.api
    try:
        config = await api.config(target.node, target.vmid)
        status = await api.status(target.node, target.vmid)
        lock = await locks.look(work, target, config.lock) if config.lock is not None else None
    except SlipwayError:
        # The job's own steps say what is wrong.
        return None
    return Seen(target=target, config=config, status=status, lock=lock)


def refusal(command: RunJob, seen: Seen) -> SlipwayError | None:
    """Give what Proxmox would say against the job's first act; None if nothing is known to."""
    kind, config, lock, vmid = command.kind, seen.config, seen.lock, seen.target.vmid
    if lock is not None and not lock.passes and not (lock.name == "create" and kind in _CLEARING):
        return None if kind is JobKind.UNLOCK else locks.left(lock)
    if config.template and kind in _NOT_OF_TEMPLATES:
        return IsTemplate(
            f"Container {vmid} is a template in Proxmox: it can be cloned, and is never started, snapshotted "
            "or rolled back.",
            vmid=vmid,
        )
    if kind in _ASKING_HA and seen.status.ha.state in ha.BROKEN:
        return ha.broken(vmid, seen.status.ha.state)
    if config.protection and (gone := _removed(command.args, config)):
        return Protected(
            f"Container {vmid} is protected in Proxmox, which then lets no disk or folder of it be removed "
            f"({gone}). Take the protection off first, or in the same request.",
            vmid=vmid,
        )
    return None


def warnings(command: RunJob, seen: Seen) -> Iterator[str]:
    """Say what one may not expect of the job, as its container is now."""
    kind, named = command.kind, {"grace": power.grace_seconds(command.args)}
    if seen.runs and kind in _WHILE_RUNNING:
        yield _WHILE_RUNNING[kind].format(**named)
    if seen.runs and isinstance(command.args, BackupArgs) and command.args.mode == "stop":
        yield "It runs: it is shut down for the backup, and started again."
    if seen.status.ha.managed and kind in _IN_HA:
        yield _IN_HA[kind]
    if seen.config.protection and kind in _PROTECTED_STILL:
        yield _PROTECTED_STILL[kind]
    if seen.lock is not None:
        yield f"{seen.lock.words} The job waits for its end." if seen.lock.passes else seen.lock.words


def always(kind: JobKind) -> Iterator[str]:
    """Say what one may not expect of any job of a kind."""
    if kind in _ALWAYS:
        yield _ALWAYS[kind]


def _removed(args: Args, config: ContainerConfig) -> str:
    """Return the names of the mounts that a change would remove."""
    if not isinstance(args, ConfigureArgs) or args.mounts is None or args.protection is False:
        return ""
    stored = {mount.path for mount in args.mounts}
    binds = {key: each for key, each in config.mounts.items() if each.get("volume", "").startswith("/")}
    return ", ".join(sorted(key for key, each in binds.items() if each.get("mp") not in stored))
