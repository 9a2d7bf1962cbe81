"""Job kinds: what a job can do, which arguments it takes, and how people read of it. Each fact stands once.

Routes and their bodies, batch checks, plan texts, page labels and reference pages derive from `KINDS`; the
steps of a kind are the provisioner's (`pipelines`). A message has the kind beside its arguments, and
`KindAndArgs` reads them as the model of that kind. An older build sent the arguments of all kinds, with
nulls; such a message is read like one of today.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, model_validator

from slipway.contracts.containers import MountSpec, NetworkSpec
from slipway.contracts.message import Value


class JobKind(StrEnum):
    """What a job does."""

    CREATE = "container.create"
    DELETE = "container.delete"
    START = "container.start"
    STOP = "container.stop"
    SHUTDOWN = "container.shutdown"
    RESTART = "container.restart"
    RESIZE = "container.resize"
    CONFIGURE = "container.configure"
    SNAPSHOT = "container.snapshot"
    ROLLBACK = "container.rollback"
    SNAPSHOT_DELETE = "container.snapshot-delete"
    BACKUP = "container.backup"
    RESTORE = "container.restore"
    CLONE = "container.clone"
    MIGRATE = "container.migrate"
    UNLOCK = "container.unlock"
    REVERT = "container.revert"
    BATCH = "batch"

    @property
    def creates_container(self) -> bool:
        """Whether its container does not exist before it."""
        return KINDS[self].creates_container

    @property
    def destroys(self) -> bool:
        """Whether data is lost for good: confirmed before, and done to many only as their plan showed it."""
        return KINDS[self].loss is not None


class Args(Value):
    """The arguments of one kind of job; None leaves a thing as it is, or to its default."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    def values(self) -> Mapping[str, Any]:
        """Return the arguments that are set, by name."""
        return {name: value for name, value in self if value is not None}


class NoArgs(Args):
    """No arguments."""


class ShutdownArgs(Args):
    """Arguments of a shutdown or a restart."""

    grace_seconds: int | None = None
    """How long the guest may take; 30 by default."""


class ResizeArgs(Args):
    """New sizes."""

    cores: int | None = None
    memory: int | None = None
    """MiB."""
    swap: int | None = None
    """MiB."""
    disk: float | None = None
    """GiB of the root disk; it only grows."""


class ConfigureArgs(Args):
    """New settings."""

    hostname: str | None = None
    tags: tuple[str, ...] | None = None
    """All of them."""
    description: str | None = None
    """The user's part of the notes; Slipway's own line stays."""
    onboot: bool | None = None
    """Whether it starts with its node."""
    startup: str | None = None
    """`order=1,up=30,down=60`."""
    protection: bool | None = None
    """While it is set, Proxmox refuses to delete the container or its disks."""
    features: Mapping[str, bool | str] | None = None
    """All of them, as in a creation."""
    mounts: tuple[MountSpec, ...] | None = None
    """All bind mounts; volumes stay as they are."""
    devices: tuple[str, ...] | None = None
    """All devices of the host that it may use."""
    hookscript: str | None = None
    """A volume (`local:snippets/...`); empty removes it."""
    networks: tuple[NetworkSpec, ...] | None = None
    """All of them, `net0` first; one that is left out is removed."""
    nameserver: str | None = None
    """Its DNS server. A running container has it after its next start, like the next ones."""
    searchdomain: str | None = None
    timezone: str | None = None
    """`Europe/Berlin`, or `host`."""
    cmode: str | None = None
    """`tty`, `console` or `shell`."""
    console: bool | None = None
    tty: int | None = None


class RevertArgs(Args):
    """Which waiting changes are dropped."""

    keys: tuple[str, ...] | None = None
    """Proxmox's names of the settings; all that wait by default."""


class SnapshotArgs(Args):
    """A new snapshot."""

    snapshot: str
    """Its name."""
    description: str | None = None


class SnapshotNameArgs(Args):
    """A snapshot that exists."""

    snapshot: str
    """Its name."""


class BackupArgs(Args):
    """A new backup."""

    storage: str | None = None
    """Where to; by default the first storage for backups."""
    mode: Literal["snapshot", "suspend", "stop"] | None = None
    """What happens to a running container meanwhile; `snapshot` by default."""
    description: str | None = None


class RestoreArgs(Args):
    """A backup that exists."""

    backup: str
    """Its volume, `local:backup/vzdump-lxc-101-...`."""


class CloneArgs(Args):
    """The new container of a clone."""

    hostname: str
    vmid: int | None = None
    """Slipway chooses by default."""
    target_node: str | None = None
    """The source's node by default."""
    storage: str | None = None
    """For its disks; where the source's are by default."""
    snapshot: str | None = None
    """Copy this snapshot; the container as it is now by default."""


class MigrateArgs(Args):
    """Where a container moves to."""

    target_node: str
    storage: str | None = None
    """For disks on storages that the old node alone has."""


AnyArgs = (
    NoArgs
    | ShutdownArgs
    | ResizeArgs
    | ConfigureArgs
    | RevertArgs
    | SnapshotArgs
    | SnapshotNameArgs
    | BackupArgs
    | RestoreArgs
    | CloneArgs
    | MigrateArgs
)
ArgsT = TypeVar("ArgsT", bound=Args)


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSpec:
    """Everything that is true of one kind of job, beside its steps."""

    kind: JobKind
    label: str
    """On buttons and in lists; the container's name follows."""
    summary: str
    """What it does, in one sentence: in the API's document, the CLI's help and the reference."""
    args: type[AnyArgs] = NoArgs
    needs_any: bool = False
    """Whether it needs at least one of its arguments."""
    creates_container: bool = False
    """Whether its container does not exist before it."""
    loss: str | None = None
    """What is lost for good, with `{vmid}`, `{hostname}` and its arguments filled in; None: nothing is."""
    is_requested: bool = True
    """Whether it is requested as a verb of a container; others have a path of their own."""

    @property
    def verb(self) -> str:
        """Its name in paths and in the CLI."""
        return self.kind.removeprefix("container.")

    def loss_of(self, args: Args, *, vmid: int, hostname: str) -> tuple[str, ...]:
        """Return what such a job on a container would destroy, as people read it."""
        return () if self.loss is None else (self.loss.format(vmid=vmid, hostname=hostname, **dict(args)),)


_SPECS = (
    KindSpec(
        kind=JobKind.CREATE,
        label="Create",
        summary="Create a container",
        creates_container=True,
        is_requested=False,
    ),
    KindSpec(
        kind=JobKind.DELETE,
        label="Delete",
        summary="Delete a container",
        loss="container {vmid} ({hostname}) with all its disks, snapshots and credentials",
        is_requested=False,
    ),
    KindSpec(kind=JobKind.START, label="Start", summary="Start a container"),
    KindSpec(kind=JobKind.STOP, label="Stop", summary="Stop a container at once"),
    KindSpec(
        kind=JobKind.SHUTDOWN,
        label="Shut down",
        summary="Shut a container down cleanly; stop it if it does not react in time",
        args=ShutdownArgs,
    ),
    KindSpec(
        kind=JobKind.RESTART,
        label="Restart",
        summary="Reboot a container; start it if it is stopped",
        args=ShutdownArgs,
    ),
    KindSpec(
        kind=JobKind.RESIZE,
        label="Resize",
        summary="Change cores, memory and swap, or grow the root disk",
        args=ResizeArgs,
        needs_any=True,
    ),
    KindSpec(
        kind=JobKind.CONFIGURE,
        label="Configure",
        summary="Change settings that need no new container",
        args=ConfigureArgs,
        needs_any=True,
    ),
    KindSpec(
        kind=JobKind.REVERT,
        label="Revert",
        summary="Drop changes that wait for the next start",
        args=RevertArgs,
    ),
    KindSpec(
        kind=JobKind.SNAPSHOT,
        label="Snapshot",
        summary="Take a snapshot",
        args=SnapshotArgs,
    ),
    KindSpec(
        kind=JobKind.ROLLBACK,
        label="Roll back",
        summary="Go back to a snapshot; everything written since is lost",
        args=SnapshotNameArgs,
        loss="all that happened in container {vmid} ({hostname}) since the snapshot {snapshot}",
    ),
    KindSpec(
        kind=JobKind.SNAPSHOT_DELETE,
        label="Delete snapshot of",
        summary="Delete a snapshot",
        args=SnapshotNameArgs,
        loss="the snapshot {snapshot} of container {vmid} ({hostname})",
    ),
    KindSpec(
        kind=JobKind.BACKUP,
        label="Back up",
        summary="Make a backup",
        args=BackupArgs,
    ),
    KindSpec(
        kind=JobKind.RESTORE,
        label="Restore",
        summary="Go back to a backup in place; everything written since is lost",
        args=RestoreArgs,
        loss="all that happened in container {vmid} ({hostname}) since the backup {backup}",
    ),
    KindSpec(
        kind=JobKind.CLONE,
        label="Clone to",
        summary="Create a new container as a copy of this one",
        args=CloneArgs,
        creates_container=True,
    ),
    KindSpec(
        kind=JobKind.MIGRATE,
        label="Migrate",
        summary="Move a container to another node of its cluster; a running one is restarted",
        args=MigrateArgs,
    ),
    KindSpec(
        kind=JobKind.UNLOCK,
        label="Unlock",
        summary="Remove a lock that a killed task has left; first see that nothing works on the container",
        loss="the lock of container {vmid} ({hostname}), which keeps others away from it",
    ),
    KindSpec(
        kind=JobKind.BATCH,
        label="Batch",
        summary="Many jobs with one parent; inventory alone works on it",
        is_requested=False,
    ),
)
KINDS: Mapping[JobKind, KindSpec] = MappingProxyType({spec.kind: spec for spec in _SPECS})
REQUESTED: Mapping[str, KindSpec] = MappingProxyType(
    {spec.verb: spec for spec in _SPECS if spec.is_requested}
)
"""Kinds that are requested as a verb of a container, by verb."""


class KindAndArgs(Value):
    """A kind of job with its arguments, in a message or a row."""

    kind: JobKind
    args: AnyArgs = NoArgs()

    @model_validator(mode="before")
    @classmethod
    def _read_args(cls, message: Any) -> Any:
        """Read the arguments as the model of the kind beside them: of a batch, of its items' kind."""
        if not isinstance(message, Mapping):
            return message
        kind = message.get("items_kind") or message.get("kind")
        if kind not in set(JobKind):
            return message
        return {**message, "args": read_args(KINDS[JobKind(kind)], message.get("args"))}

    def args_as(self, model: type[ArgsT]) -> ArgsT:
        """Return the arguments as a model of its kind; any other model is a bug."""
        if not isinstance(self.args, model):
            raise TypeError(f"{self.kind} has {type(self.args).__name__}, not {model.__name__}")
        return self.args


def read_args(spec: KindSpec, args: object) -> AnyArgs:
    """Return arguments as the model of their kind; nulls are left out, what other kinds take is ignored."""
    if isinstance(args, spec.args):
        return args
    if args is not None and not isinstance(args, Mapping | Args):
        return spec.args.model_validate(args)
    values = dict(args or {})
    return spec.args.model_validate({name: value for name, value in values.items() if value is not None})
