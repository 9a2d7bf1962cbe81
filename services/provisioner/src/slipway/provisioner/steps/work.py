"""What every step works with."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import getdoc
from typing import Literal

from pydantic import SecretStr

from slipway.contracts.containers import ContainerSpec
from slipway.contracts.jobs import JobLog, RunJob, StepStatus, Target
from slipway.contracts.values import Phase
from slipway.provisioner.bundle import Bundle
from slipway.provisioner.engine.journal import RunJournal
from slipway.proxmox.detached import Detached
from slipway.proxmox.hosts import Cluster
from slipway.proxmox.pct import Pct
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.host_access import NONE, HostAccessPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a step ended well."""

    status: Literal["finished", "skipped"] = "finished"
    message: str | None = None


DONE = Result()
SKIPPED = Result(status="skipped")
NOTHING_TO_DO = Result(message="nothing to do")
"""The goal was reached already."""


@dataclass(slots=True, kw_only=True)
class Work:
    """One run of a job: what was ordered, how the host is reached, what is told."""

    command: RunJob
    cluster: Cluster
    bundle: Bundle | None
    secrets: Mapping[str, SecretStr]
    """`password`, `variable:NAME`."""
    journal: RunJournal
    bus: Bus
    host_access: HostAccessPolicy = NONE
    """What the operator allows of the host."""
    reopen: Callable[[], Awaitable[Cluster]] | None = None
    """Asks for the access to the host anew."""
    step: "Step | None" = None
    """The one that runs now."""

    @property
    def spec(self) -> ContainerSpec:
        """What was asked for, complete."""
        return self.command.spec

    @property
    def target(self) -> Target:
        """The container; its VMID may have been replaced since the order."""
        return self.journal.record.target

    @property
    def pct(self) -> Pct:
        """Commands in the container."""
        return self.cluster.pct(self.target.node)

    @property
    def detached(self) -> Detached:
        """Work in the container that survives us."""
        return self.cluster.detached(self.target.node, self.target.vmid)

    async def renew_access(self) -> None:
        """Reach the host by the access that is known now: the old one was refused."""
        if self.reopen is not None:
            self.cluster = await self.reopen()

    def facts(self, step: str | None = None) -> Mapping[str, str]:
        """Give what a step keeps for a new owner; of the running one if none is named."""
        wanted = step or (self.step.name if self.step else "")
        known = next((each for each in self.journal.record.steps if each.name == wanted), None)
        return known.facts if known else {}

    async def remember(self, **facts: str) -> None:
        """Keep facts of the running step for a new owner, before acting on them."""
        await self.journal.commit(steps=self.with_facts(**facts))

    def with_facts(self, **facts: str) -> tuple[StepStatus, ...]:
        """Give the record's steps with more facts of the running one."""
        name = self.step.name if self.step else ""
        return tuple(
            each.model_copy(update={"facts": {**each.facts, **facts}}) if each.name == name else each
            for each in self.journal.record.steps
        )

    async def log_context(self) -> JobLog:
        """Give what heads the running step's log, with the offset that was told last."""
        step = self.step
        name = step.name if step else ""
        last = await self.journal.last_log()
        return JobLog(
            id=self.command.job,
            phase=step.phase if step else None,
            step=name,
            script=step.script if step else None,
            index=step.index if step else None,
            total=step.total if step else None,
            lines=(),
            offset=last.offset if last is not None and last.step == name else 0,
            logged_bytes=last.logged_bytes if last is not None else 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a pipeline: done once, never again."""

    name: str
    act: Callable[[Work], Awaitable[Result]]
    phase: Phase | None = None
    percent: int = 0
    """Of the job when the step begins."""
    percent_after: int = 0
    opens_phase: bool = False
    closes_phase: bool = False
    is_repeated: bool = False
    """Whether a retry does it again even if it had succeeded: power is not what it was."""
    retried_from: str | None = None
    """The step with which a retry begins in this one's place: what that made is gone by then."""
    is_cancellable: bool = True
    """Whether a cancel ends it at once; one past its point of no return is waited for."""
    looks_after: bool = False
    """Whether it only looks at what the steps before it have done: a plan can't know what it will see."""
    script: str | None = None
    index: int | None = None
    total: int | None = None
    scripts: tuple[str, ...] = field(default=())
    """On the first step of sync: all scripts in their order."""

    @property
    def words(self) -> str:
        """What it is for, as a plan says it: the first line of what its function says of itself."""
        act = self.act.func if isinstance(self.act, partial) else self.act
        told = (getdoc(act) or self.name).splitlines()[0].rstrip(".")
        return f"{told}: {self.script}" if self.script else told
