"""Jobs: the commands that start and cancel a run, the run record, and what people request and read of jobs.

A batch (`batches`) is inventory's from its `accepted` to its `done`. The events are in `job_events`.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import AliasChoices, Field

from slipway.contracts.batches import BatchCounts, BatchItem
from slipway.contracts.configs import HostConfig
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import Accepted, Container
from slipway.contracts.job_args import KindAndArgs
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Command, Id, Moment, Query, State, Value
from slipway.contracts.problems import Problem
from slipway.contracts.values import JobState, OnFailure, Phase, Sealed

_REMOVE_ON_CANCEL = AliasChoices("remove_on_cancel", "destroys")
"""Messages that an older build has stored have the second name."""


class Target(Value):
    """The container a job works on.

    A job without one (`KindSpec.has_container`) has its own id there, VMID 0 and what it is about as a name.
    """

    container: Id
    cluster: Id
    cluster_name: str
    node: str
    vmid: int
    vmid_is_provisional: bool = False
    hostname: str

    @classmethod
    def of(cls, container: Container) -> "Target":
        """Return a container that exists as what a job works on."""
        return cls(
            container=container.id,
            cluster=container.cluster_id,
            cluster_name=container.cluster,
            node=container.node,
            vmid=container.vmid,
            hostname=container.hostname,
        )


class RunJob(KindAndArgs, Command):
    """Run a job. Idempotent: the run record is keyed by the job's id."""

    subject: ClassVar[str] = "slipway.v1.command.provisioner.job.run"
    job: Id
    target: Target
    spec: ContainerSpec
    """Complete: inventory has filled every default from site, template and node."""
    site_defaults: Mapping[str, str] = Field(default_factory=dict)
    """Which of its values came from the cluster's site defaults, by field, as people read them."""
    bundle: str | None = None
    """SHA-256 of the template's archive in the object store `bundles`; None is from scratch."""
    on_failure: OnFailure = OnFailure.KEEP
    source: Target | None = None
    """Clone: what is copied."""
    ran_before: bool = False
    """Restore: whether it ran when an earlier restore lost it, so that it is started again."""
    retry_of: Id | None = None
    first_step: str | None = None
    """Where a retry begins, a step or a phase; None is the beginning."""

    @property
    def finds_container(self) -> bool:
        """Whether its container is on the host before it begins: not for one that makes it from the start."""
        has_container = self.kind.has_container
        return has_container and (not self.kind.creates_container or self.first_step is not None)


class CancelJob(Command):
    """Cancel a job; also one that waits, and one whose run was never seen."""

    subject: ClassVar[str] = "slipway.v1.command.provisioner.job.cancel"
    job: Id
    kind: JobKind
    target: Target
    remove_on_cancel: bool = Field(default=False, validation_alias=_REMOVE_ON_CANCEL)
    """Creations and copies: what the job has made is removed, whatever its `on_failure` says."""
    exists_on_host: bool = False
    """Whether the container was there before the job: what is left if it never began."""
    abandon: str | None = None
    """Why the run ends at once, wherever it stands, and no host is touched; None for an ordinary cancel."""


class StepStatus(Value):
    """One step of a run; done once, never again."""

    name: str
    """`create.task`, `sync.script.2`."""
    phase: Phase | None = None
    status: Literal["started", "finished", "failed", "skipped"] = "started"
    attempts: int = 1
    started_at: Moment
    finished_at: Moment | None = None
    facts: Mapping[str, str] = Field(default_factory=dict)
    """Facts for a new owner: `upid`, `posted_at`, `offset`."""
    is_cancellable: bool = True
    """False for a step past its point of no return."""
    message: str | None = None
    """How it ended, for people: `nothing to do`; while it waits, the reason."""


class RunRecord(State):
    """Where a run stands: the truth about an execution. Every write is a compare-and-set on its sequence."""

    subject: ClassVar[str] = "slipway.v1.state.job.{id}"
    id: Id
    kind: JobKind
    state: JobState
    claim: int
    """Counts owners; a write with a lower one is refused."""
    commit: str
    """Id of the write itself: an owner whose write's answer was lost looks for it here."""
    owner: str
    """Instance of the provisioner."""
    target: Target
    phase: Phase | None = None
    percent: int = 0
    steps: tuple[StepStatus, ...] = ()
    claims_without_progress: int = 0
    cancel_requested: bool = False
    remove_on_cancel: bool = Field(default=False, validation_alias=_REMOVE_ON_CANCEL)
    """Whether the cancel asked for the removal of what the job has made."""
    warnings: tuple[str, ...] = ()
    error: Problem | None = None
    exists_on_host: bool = False
    """Whether anything of the container may exist there now."""
    waits_for: str | None = None
    """`lock` while the running step waits for a container that another task has locked."""
    disks: Mapping[str, str] = Field(default_factory=dict)
    """Of a move by an older provisioner; `config` says it now."""
    config: HostConfig | None = None
    """The container's config, read back at the end; None if it could not be, or there is no container."""
    started_at: Moment
    finished_at: Moment | None = None


class Job(KindAndArgs):
    """A job as people see it."""

    id: Id
    state: JobState
    phase: Phase | None = None
    percent: int = 0
    step: str | None = None
    container: Id | None = None
    """None, like the next two, for a job without one: a batch, a download."""
    vmid: int | None = None
    hostname: str | None = None
    cluster: str | None = None
    """The cluster's name, as hostnames and VMIDs repeat from cluster to cluster; None for a batch."""
    actor: str
    retry_of: Id | None = None
    parent: Id | None = None
    """The batch it belongs to."""
    items_kind: JobKind | None = None
    """What a batch does with each of its items."""
    selection: str | None = None
    """Of a batch: what was asked for; empty if its items were named otherwise."""
    counts: BatchCounts | None = None
    """Of a batch."""
    items: tuple[BatchItem, ...] = ()
    """Of a batch; lists of jobs leave them out."""
    steps: tuple[StepStatus, ...] = ()
    warnings: tuple[str, ...] = ()
    error: Problem | None = None
    position: int | None = None
    """Its place among those that wait on its node, in the order of acceptance; 0 is the oldest. Limits and
    fairness between people may let a later one begin before it."""
    waits_for: str | None = None
    """Why it waits: `limit` (others work on the node) or `maintenance`; of a job that runs, `lock` (another
    task has locked the container; the step's message says which)."""
    actions: tuple[str, ...] = ()
    """The actions that make sense now: `cancel`, `retry`, `delete`."""
    created_at: Moment
    started_at: Moment | None = None
    finished_at: Moment | None = None


class JobPage(Value):
    """Some jobs, and where to go on."""

    items: tuple[Job, ...]
    next: str | None = None


class GetJob(Query[Job]):
    """One job, by id."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.job.get"
    job: Id


class ListJobs(Query[JobPage]):
    """Jobs, newest first."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.job.list"
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = None
    container: Id | None = None
    parent: Id | None = None
    """Only the jobs of this batch."""
    state: tuple[JobState, ...] = ()
    """Only those in one of these; none means any."""
    kind: tuple[JobKind, ...] = ()
    """Only those of one of these; none means any."""


class RequestJob(KindAndArgs, Query[Accepted]):
    """Start, stop, resize, ...: a job on a container that exists. Creations and deletions have their own."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.job.request"
    container: Id
    on_failure: OnFailure = OnFailure.KEEP


class RequestCancel(Query[Job]):
    """End a job: a waiting one at once, a running one unless its step is past its point of no return."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.job.cancel"
    job: Id
    remove_on_cancel: bool = False
    """Creations and copies: what the job has made is removed too."""


class RetryJob(Query[Accepted]):
    """Do a failed or cancelled job again as a new job with the same input, from the step that failed."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.job.retry"
    job: Id
    phase: Phase | None = None
    """Of a creation: begin with this phase; None begins with the step that failed."""


class JobSecrets(Value):
    """The secrets of a run, sealed to the provisioner (owner = container id, field = the key)."""

    secrets: Mapping[str, Sealed] = Field(default_factory=dict)
    """`password` is root's; `variable:NAME` a secret variable's."""
    state: JobState = JobState.QUEUED
    """As inventory knows it: a run command without a record is checked against this."""
    percent: int = 0
    exists_on_host: bool = False


class GetJobSecrets(Query[JobSecrets]):
    """The secrets of a job; only the provisioner may ask."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.job.secrets"
    job: Id


class ReplacedVmid(Value):
    """The VMID to go on with."""

    vmid: int


class ReplaceVmid(Query[ReplacedVmid]):
    """Another VMID for a job whose provisional one was taken. Idempotent: by job and refused VMID."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.vmid.replace"
    job: Id
    refused: int
