"""Plans: what a job would do, found out by going its way without changing anything.

A plan is made by the same decision and the same steps as the job: inventory decides on the request and stops
before the commit, and the provisioner goes through the steps up to where the first of them would change
something. A request that would be refused is refused as a plan as well.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import Field

from slipway.contracts.bulk import CreateContainers
from slipway.contracts.containers import ContainerRef, CreateContainer, DeleteContainer
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RequestCancel, RequestJob, RetryJob, RunJob
from slipway.contracts.message import Query, Value
from slipway.contracts.problems import Problem
from slipway.contracts.values import Phase


class PlanStep(Value):
    """One step, as far as it can be seen beforehand."""

    name: str
    phase: Phase | None = None
    words: str
    """What the step is for."""
    effect: Literal["done", "acts", "later", "skipped", "fails"]
    """`done`: nothing to do, or only to look at; `acts`: would send `request`; `later`: depends on what an
    earlier step makes; `skipped`: a retry leaves it out; `fails`: `problem` says why."""
    message: str | None = None
    """The result of the look."""
    request: str | None = None
    """The first request that would be sent; secrets are masked."""
    problem: Problem | None = None
    is_cancellable: bool = True


class Explained(Value):
    """A run's steps as the provisioner sees them."""

    steps: tuple[PlanStep, ...]
    destroys: tuple[str, ...] = ()
    """What is lost for good."""
    warnings: tuple[str, ...] = ()
    """What one may not expect."""


class Plan(Explained):
    """What a job would do."""

    kind: JobKind
    container: ContainerRef
    site_defaults: Mapping[str, str] = Field(default_factory=dict)
    """Of a creation: which values came from the cluster's site defaults, by field (`networks.0.bridge`)."""
    hash: str
    """The same as long as the plan is: of kind, container, arguments, steps and what is lost."""


class PlanJob(Query[Plan]):
    """Return what a job would do; exactly one of the requests is set."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.job.plan"
    timeout: ClassVar[timedelta] = timedelta(seconds=30)
    create: CreateContainer | None = None
    delete: DeleteContainer | None = None
    request: RequestJob | None = None
    retry: RetryJob | None = None
    cancel: RequestCancel | None = None
    create_many: CreateContainers | None = None
    """The first of them is planned, under the name that it would get."""


class ExplainRun(Query[Explained]):
    """Ask what a run would do; no job of that id exists."""

    subject: ClassVar[str] = "slipway.v1.query.provisioner.run.explain"
    timeout: ClassVar[timedelta] = timedelta(seconds=25)
    command: RunJob
