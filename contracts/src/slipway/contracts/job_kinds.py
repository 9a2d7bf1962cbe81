"""Job kinds: what a job can do, which arguments it takes, and how people read of it. Each fact stands once.

Routes and their bodies, batch checks, plan texts, page labels and reference pages derive from `KINDS`; the
steps of a kind are the provisioner's (`pipelines`).
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal

from pydantic import ConfigDict

from slipway.contracts.container_specs import MountSpec, NetworkSpec
from slipway.contracts.message import Value
from slipway.contracts.tiers import Tier


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
    OS_TEMPLATE_DOWNLOAD = "os-template.download"
    BATCH = "batch"

    @property
    def creates_container(self) -> bool:
        """Whether its container does not exist before it."""
        return KINDS[self].creates_container

    @property
    def has_container(self) -> bool:
        """Whether it works on one container."""
        return KINDS[self].has_container

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
    """Its DNS server, empty for the node's. A running container has it after its next start, as the next."""
    searchdomain: str | None = None
    """Its search domains, empty for the node's."""
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


class OsTemplateDownloadArgs(Args):
    """An OS template, and where it goes."""

    node: str
    """The node that downloads it."""
    template: str
    """Its archive: `debian-12-standard_12.7-1_amd64.tar.zst`."""
    storage: str


AnyArgs = (
    NoArgs | ShutdownArgs | ResizeArgs | ConfigureArgs | RevertArgs | SnapshotArgs | SnapshotNameArgs
    | BackupArgs | RestoreArgs | CloneArgs | MigrateArgs | OsTemplateDownloadArgs
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KindSpec:
    """Everything that is true of one kind of job, beside its steps."""

    kind: JobKind
    label: str
    """On buttons and in lists; the container's name follows."""
    summary: str
    """What it does, in one sentence: in the API's document, the CLI's help and the reference."""
    _: KW_ONLY
    args: type[AnyArgs] = NoArgs
    needs_any: bool = False
    """Whether it needs at least one of its arguments."""
    creates_container: bool = False
    """Whether its container does not exist before it."""
    has_container: bool = True
    """Whether it works on one container; others work on a node, or on many containers."""
    loss: str | None = None
    """What is lost for good, with `{vmid}`, `{hostname}` and its arguments filled in; None: nothing is."""
    is_requested: bool = True
    """Whether it is requested as a verb of a container; others have a path of their own."""
    tier: Tier = Tier.FULL
    """The least tier of its cluster at which it may be done."""

    @property
    def verb(self) -> str:
        """Its name in paths and in the CLI."""
        return self.kind.removeprefix("container.")

    def loss_of(self, args: Args, *, vmid: int, hostname: str) -> tuple[str, ...]:
        """Return what such a job on a container would destroy, as people read it."""
        return () if self.loss is None else (self.loss.format(vmid=vmid, hostname=hostname, **dict(args)),)


_SPECS = (
    KindSpec(JobKind.CREATE, "Create", "Create a container", creates_container=True, is_requested=False),
    KindSpec(
        JobKind.DELETE,
        "Delete",
        "Delete a container",
        loss="container {vmid} ({hostname}) with all its disks, snapshots and credentials",
        is_requested=False,
    ),
    KindSpec(JobKind.START, "Start", "Start a container", tier=Tier.OPERATE),
    KindSpec(JobKind.STOP, "Stop", "Stop a container at once", tier=Tier.OPERATE),
    KindSpec(
        JobKind.SHUTDOWN,
        "Shut down",
        "Shut a container down cleanly; stop it if it does not react in time",
        args=ShutdownArgs,
        tier=Tier.OPERATE,
    ),
    KindSpec(
        JobKind.RESTART,
        "Restart",
        "Reboot a container; start it if it is stopped",
        args=ShutdownArgs,
        tier=Tier.OPERATE,
    ),
    KindSpec(
        JobKind.RESIZE,
        "Resize",
        "Change cores, memory and swap, or grow the root disk",
        args=ResizeArgs,
        needs_any=True,
    ),
    KindSpec(
        JobKind.CONFIGURE,
        "Configure",
        "Change settings that need no new container",
        args=ConfigureArgs,
        needs_any=True,
    ),
    KindSpec(JobKind.REVERT, "Revert", "Drop changes that wait for the next start", args=RevertArgs),
    KindSpec(JobKind.SNAPSHOT, "Snapshot", "Take a snapshot", args=SnapshotArgs, tier=Tier.OPERATE),
    KindSpec(
        JobKind.ROLLBACK,
        "Roll back",
        "Go back to a snapshot; everything written since is lost",
        args=SnapshotNameArgs,
        loss="all that happened in container {vmid} ({hostname}) since the snapshot {snapshot}",
        tier=Tier.OPERATE,
    ),
    KindSpec(
        JobKind.SNAPSHOT_DELETE,
        "Delete snapshot of",
        "Delete a snapshot",
        args=SnapshotNameArgs,
        loss="the snapshot {snapshot} of container {vmid} ({hostname})",
        tier=Tier.OPERATE,
    ),
    KindSpec(JobKind.BACKUP, "Back up", "Make a backup", args=BackupArgs, tier=Tier.OPERATE),
    KindSpec(
        JobKind.RESTORE,
        "Restore",
        "Go back to a backup in place; everything written since is lost",
        args=RestoreArgs,
        loss="all that happened in container {vmid} ({hostname}) since the backup {backup}",
    ),
    KindSpec(
        JobKind.CLONE,
        "Clone to",
        "Create a new container as a copy of this one",
        args=CloneArgs,
        creates_container=True,
    ),
    KindSpec(
        JobKind.MIGRATE,
        "Migrate",
        "Move a container to another node of its cluster; a running one is restarted",
        args=MigrateArgs,
    ),
    KindSpec(
        JobKind.UNLOCK,
        "Unlock",
        "Remove a lock that a killed task has left; first see that nothing works on the container",
        loss="the lock of container {vmid} ({hostname}), which keeps others away from it",
    ),
    KindSpec(
        JobKind.OS_TEMPLATE_DOWNLOAD,
        "Download OS template",
        "Download an OS template to a storage of a node",
        args=OsTemplateDownloadArgs,
        has_container=False,
        is_requested=False,
        tier=Tier.FULL,  # the rights to put something on a storage
    ),
    KindSpec(
        JobKind.BATCH,
        "Batch",
        "Many jobs with one parent; inventory alone works on it",
        has_container=False,
        is_requested=False,
        tier=Tier.OBSERVE,  # each of its jobs needs its own
    ),
)
KINDS: Mapping[JobKind, KindSpec] = MappingProxyType({spec.kind: spec for spec in _SPECS})
REQUESTED: Mapping[str, KindSpec] = MappingProxyType(
    {spec.verb: spec for spec in _SPECS if spec.is_requested}
)
"""Kinds that are requested as a verb of a container, by verb."""
INTERRUPTING = frozenset(
    {
        JobKind.DELETE,
        JobKind.STOP,
        JobKind.SHUTDOWN,
        JobKind.RESTART,
        JobKind.ROLLBACK,
        JobKind.RESTORE,
        JobKind.MIGRATE,
    }
)
"""Kinds by which what runs in the container ends."""
