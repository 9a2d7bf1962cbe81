"""This installation of Slipway as a whole: which one it is, and whether it may act.

A paused installation answers and observes, and changes nothing: no job begins, no command leaves, no old row
is removed. It goes on when somebody has seen what is different on Proxmox, and has confirmed it.
"""

from datetime import timedelta
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Id, Moment, Query, Value
from slipway.contracts.values import JobState, Power


class InstallationState(StrEnum):
    """Whether an installation may act."""

    ACTIVE = "active"
    PAUSED = "paused"


class PauseCause(StrEnum):
    """Why an installation is paused."""

    RESTORED = "restored"
    """It was restored from a backup, and what it knows is old."""
    SECOND_COPY = "second-copy"
    """Somebody else acts on a cluster with this installation's token."""


class Installation(Value):
    """One installation."""

    id: Id
    """Stays the same in a restored copy."""
    generation: int
    """Rises with each restore."""
    state: InstallationState
    since: Moment
    """When that began."""
    cause: PauseCause | None = None
    """Set while paused."""
    reason: str | None = None
    """The same for people, with what to do."""
    backup_at: Moment | None = None
    """When the backup was made that this state came from."""


class GetInstallation(Query[Installation]):
    """This installation."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.installation.get"


class MissingContainer(Value):
    """A container that is stored here and not on Proxmox."""

    id: Id
    hostname: str
    vmid: int
    cluster: str


class ChangedContainer(MissingContainer):
    """A container that is otherwise on Proxmox than it was stored."""

    power_before: Power
    power: Power
    node_before: str
    node: str
    has_other_config: bool = False
    """Whether its config was changed by others."""


class UnknownGuests(Value):
    """Containers of a cluster that nothing is stored about: made later, or never Slipway's."""

    cluster: str
    vmids: tuple[int, ...]


class WaitingJob(Value):
    """A job that would act after a resume, if it is named."""

    id: Id
    kind: JobKind
    state: JobState
    hostname: str | None = None
    """None, like the next two, for a job that works on no container."""
    vmid: int | None = None
    cluster: str | None = None
    actor: str
    created_at: Moment
    destroys: bool
    """Whether it would destroy something."""


class ResumePlan(Value):
    """What is different on Proxmox from what is stored, and what would act; nothing was done."""

    installation: Installation
    hash: str
    """A resume wants it back: it names these jobs, these differences and these clusters."""
    unseen_clusters: tuple[str, ...] = ()
    """Clusters that monitor has not reached since the pause: nothing is known of them."""
    missing: tuple[MissingContainer, ...] = ()
    changed: tuple[ChangedContainer, ...] = ()
    unknown: tuple[UnknownGuests, ...] = ()
    jobs: tuple[WaitingJob, ...] = ()
    """All that have not ended; a resume cancels those that it is not told to keep."""


class PlanResume(Query[ResumePlan]):
    """What a resume would find and do."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.installation.plan"
    timeout: ClassVar[timedelta] = timedelta(seconds=15)


class ResumeInstallation(Query[Installation]):
    """Let a paused installation act again; jobs from before are cancelled without touching a host."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.installation.resume"
    timeout: ClassVar[timedelta] = timedelta(seconds=15)
    hash: str = Field(max_length=64)
    """Of the plan that was seen."""
    keep: tuple[Id, ...] = Field(default=(), max_length=1000)
    """Jobs that shall run nevertheless."""
    despite_unseen: bool = False
    """Whether to go on though nothing is known of some clusters."""
