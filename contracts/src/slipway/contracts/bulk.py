"""Requests for many containers at once: a batch, its plan, several creations, and a retry."""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from slipway.contracts.batches import BatchCounts
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import JobRef
from slipway.contracts.job_args import KindAndArgs
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Id, Query, Value
from slipway.contracts.problems import Problem
from slipway.contracts.values import Lifecycle, OnFailure, Sealed

LONGEST_SELECTION = 4000
"""Characters; of a search too, which has the same grammar."""
MOST_ITEMS = 1000
MOST_LIKE_ONE = 100
_TIMEOUT = timedelta(seconds=20)


class BatchAccepted(Value):
    """A batch has been accepted: one parent job."""

    job: JobRef
    counts: BatchCounts
    """`failed` are those that could not be accepted; the job's items say why."""


class PlanItem(Value):
    """What a batch would do with one container."""

    container: Id | None = None
    vmid: int
    hostname: str = ""
    cluster: str = ""
    node: str = ""
    lifecycle: Lifecycle | None = None
    error: Problem | None = None
    """Why it could not be accepted now."""


class BatchPlan(Value):
    """What a batch would do; nothing was done."""

    kind: JobKind
    hash: str
    """Names exactly these items with exactly these arguments; a destructive batch wants it back."""
    items: tuple[PlanItem, ...]
    destroys: tuple[str, ...] = ()
    """What would be lost for good, for people."""
    warnings: tuple[str, ...] = ()
    """What one may not expect."""


class RequestBatch(KindAndArgs, Query[BatchAccepted]):
    """Do the same with every container of a selection: one parent, a job for each."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.batch.request"
    timeout: ClassVar[timedelta] = _TIMEOUT
    selection: str = Field(max_length=LONGEST_SELECTION)
    """`101,105-110,tag:prod node:pve1`: a search; a comma adds, a blank or a `+` narrows."""
    on_failure: OnFailure = OnFailure.KEEP
    plan: str | None = None
    """The hash of the plan that was shown; what destroys needs it."""


class PlanBatch(KindAndArgs, Query[BatchPlan]):
    """Return what a batch would do, and change nothing."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.batch.plan"
    timeout: ClassVar[timedelta] = _TIMEOUT
    selection: str = Field(max_length=LONGEST_SELECTION)


class CreateContainers(Query[BatchAccepted]):
    """Create several like this one: `NAME-1`, `NAME-2`, ... with secrets of their own."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.batch.create"
    timeout: ClassVar[timedelta] = _TIMEOUT
    spec: ContainerSpec
    count: int = Field(ge=1, le=MOST_LIKE_ONE)
    password: Sealed | None = None
    """As in `CreateContainer`; all of them get it."""
    secret_variables: Mapping[str, Sealed] = Field(default_factory=dict)


class RetryBatch(Query[BatchAccepted]):
    """Do the items of an ended batch again that failed or were cancelled: a new batch."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.batch.retry"
    timeout: ClassVar[timedelta] = _TIMEOUT
    job: Id
    plan: str | None = None
    """The hash of the plan that was shown; what destroys needs it, as in `RequestBatch`."""


class PlanBatchRetry(Query[BatchPlan]):
    """Return what the retry of a batch would do, and change nothing."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.batch.plan-retry"
    timeout: ClassVar[timedelta] = _TIMEOUT
    job: Id


class PlanBatchCancel(Query[BatchPlan]):
    """Which items the cancel of a batch would end, without ending them."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.batch.plan-cancel"
    timeout: ClassVar[timedelta] = _TIMEOUT
    job: Id
    remove_on_cancel: bool = False
    """As in `RequestCancel`: a batch refuses it."""
