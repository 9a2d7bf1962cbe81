"""The state of a container on its host, read from Proxmox when asked: snapshots, backups, protection.

Nothing of it is stored by Slipway, so nothing can be out of date; a node that is away is a 503.
"""

from datetime import timedelta
from typing import ClassVar

from slipway.contracts.job_args import KindAndArgs
from slipway.contracts.jobs import Target
from slipway.contracts.message import Id, Moment, Query, Value
from slipway.contracts.problems import Problem


class Snapshot(Value):
    """A saved state of a container, on its own storage."""

    name: str
    description: str = ""
    parent: str | None = None
    """The snapshot that it was made after, if any."""
    at: Moment | None = None


class Snapshots(Value):
    """A container's snapshots, oldest first."""

    items: tuple[Snapshot, ...]


class Backup(Value):
    """A backup, as vzdump made it."""

    volume: str
    """The argument of a restore: `local:backup/vzdump-lxc-104-2026_02_03-04_05_06.tar.zst`."""
    storage: str
    size_bytes: int
    notes: str = ""
    is_protected: bool = False
    """Whether Proxmox refuses to remove it."""
    at: Moment | None = None


class Backups(Value):
    """The backups of a container's VMID, newest first; an older container of it may have left some."""

    items: tuple[Backup, ...]
    unread: tuple[str, ...] = ()
    """Storages for backups that are not active now: theirs are not listed."""


class Guard(Value):
    """What a deletion has to check."""

    is_ours: bool = False
    """Whether this very container is there, by its mark."""
    node: str | None = None
    """Where it is, if it is there."""
    is_protected: bool = False
    """Whether Proxmox's `protection` is set."""


class GetGuard(Query[Guard]):
    """Whether a container is there, anywhere in its cluster, and what stands before its deletion."""

    subject: ClassVar[str] = "slipway.v1.query.provisioner.container.guard"
    timeout: ClassVar[timedelta] = timedelta(seconds=3)
    target: Target


class JobCheck(Value):
    """What the host says against a job before it is accepted."""

    problem: Problem | None = None
    """None if nothing is known against it; the job itself looks again."""


class CheckJob(KindAndArgs, Query[JobCheck]):
    """Whether the host has what makes a job impossible: a snapshot of that name, a larger disk."""

    subject: ClassVar[str] = "slipway.v1.query.provisioner.job.check"
    timeout: ClassVar[timedelta] = timedelta(seconds=3)
    target: Target


class VmidState(Value):
    """Whether anything has a VMID."""

    is_free: bool


class CheckVmid(Query[VmidState]):
    """Whether Proxmox calls a VMID free at this moment, in the whole cluster, VMs included."""

    subject: ClassVar[str] = "slipway.v1.query.provisioner.vmid.check"
    timeout: ClassVar[timedelta] = timedelta(seconds=3)
    cluster: Id
    vmid: int


class ListSnapshots(Query[Snapshots]):
    """A container's snapshots; 503 if its node is away."""

    subject: ClassVar[str] = "slipway.v1.query.provisioner.snapshot.list"
    timeout: ClassVar[timedelta] = timedelta(seconds=15)
    target: Target


class ListBackups(Query[Backups]):
    """The backups of a container on its node's storages; 503 if the node is away."""

    subject: ClassVar[str] = "slipway.v1.query.provisioner.backup.list"
    timeout: ClassVar[timedelta] = timedelta(seconds=15)
    target: Target
