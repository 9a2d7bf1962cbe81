"""What must be: every job that was accepted, every container that was asked for, and what faults excuse."""

import time
from dataclasses import dataclass, field
from typing import Any, Literal

HostCheck = Literal["present", "absent", "unsure"]
CANCELLED = "cancelled by someone"
TERMINAL = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(slots=True)
class Job:
    """A job that got its 202."""

    id: str
    kind: str
    container: str
    vmids: set[int]
    """Every VMID it has had; a provisional one may be replaced."""
    template: str | None = None
    must: str = "succeeded"
    retry_of: str | None = None
    chooses_vmid: bool = False
    state: str | None = None
    """As its viewer saw it at `done`."""
    code: str | None = None
    seen: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    """What its viewer saw, over all cuts: id, kind, content."""
    cuts: int = 0
    accepted_at: float = field(default_factory=time.time)
    ended_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether its end was not seen yet."""
        return self.state is None

    @property
    def is_as_it_must_be(self) -> bool:
        """Whether it ended as it must; one that must fail does so of its script."""
        return self.state == self.must and self.code in {None, "script.failed"}


@dataclass(slots=True)
class Hit:
    """A fault on a VMID, which may make the jobs fail that work there meanwhile; a kill never does."""

    reason: str
    vmid: int | None
    """None is any."""
    chosen_only: bool = False
    """Whether only who chose the VMID himself may fail: others get another one."""
    began_at: float = field(default_factory=time.time)
    ended_at: float = float("inf")

    def excuses(self, job: Job) -> bool:
        """Whether a job that failed may have failed of it."""
        overlaps = job.accepted_at <= self.ended_at and (job.is_open or job.ended_at >= self.began_at)
        is_there = self.vmid is None or self.vmid in job.vmids
        return is_there and overlaps and (job.chooses_vmid or not self.chosen_only)


@dataclass(slots=True)
class Container:
    """A container that was asked for."""

    id: str
    hostname: str
    host_check: HostCheck = "unsure"
    power: str | None = None
    """What its status must be at the end; None where that is not known."""
    config: dict[str, str | None] = field(default_factory=dict)
    """What its configuration on the host must say; None is nothing at all."""
    stored: dict[str, str | None] = field(default_factory=dict)
    """The same when it was snapshotted or backed up."""
    was: str | None = None
    """Its status when it was last known."""


@dataclass(slots=True)
class Model:
    """Everything that was asked for, and what was found wrong."""

    jobs: dict[str, Job] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    foreigners: set[int] = field(default_factory=set)
    """VMIDs of containers that someone else (a `VmidTaken` order) put on the node and left there."""
    hits: list[Hit] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def violate(self, text: str) -> None:
        """Note that something is not as it must be."""
        self.violations.append(text)

    def open_jobs(self) -> list[Job]:
        """Return the jobs whose end was not seen yet."""
        return [job for job in self.jobs.values() if job.is_open]

    def ended(self) -> int:
        """Count the jobs whose end was seen."""
        return sum(not job.is_open for job in self.jobs.values())

    def excuses(self, job: Job) -> list[str]:
        """Return the faults of which a job may have failed, or that someone has cancelled it."""
        hits = [hit.reason for hit in self.hits if hit.excuses(job)]
        match job.state:
            case "failed":
                return [reason for reason in hits if reason != CANCELLED]
            case "cancelled":
                return [reason for reason in hits if reason == CANCELLED]
            case _:
                return []

    def is_hit_now(self, job: Job) -> bool:
        """Whether a fault that a job may have failed of still goes on."""
        return any(hit.ended_at > time.time() for hit in self.hits if hit.excuses(job))
