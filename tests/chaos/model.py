"""What must be: every job that was accepted, every container that was asked for, and what faults excuse."""

import time
from dataclasses import dataclass, field
from typing import Any, Literal

Presence = Literal["present", "absent", "unsure"]
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
    excuses: list[str] = field(default_factory=list)
    """Faults that hit it and may make it fail; a kill never does."""
    state: str | None = None
    """As its viewer was told at `done`."""
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
        """Whether it ended as it must."""
        return self.state == self.must

    @property
    def is_excused(self) -> bool:
        """Whether it ended as the model allows."""
        return self.is_as_it_must_be or (self.state == "failed" and bool(self.excuses))


@dataclass(slots=True)
class Container:
    """A container that was asked for."""

    id: str
    hostname: str
    presence: Presence = "unsure"
    power: str | None = None
    """What its status must be at the end; None where that is not known."""


@dataclass(slots=True)
class Model:
    """Everything that was asked for, and what was found wrong."""

    jobs: dict[str, Job] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    foreigners: int = 0
    """Containers that someone else (a `VmidTaken` order) put on the node."""
    violations: list[str] = field(default_factory=list)

    def violate(self, text: str) -> None:
        """Note that something is not as it must be."""
        self.violations.append(text)

    def open_jobs(self) -> list[Job]:
        """Give the jobs whose end was not seen yet."""
        return [job for job in self.jobs.values() if job.is_open]

    def ended(self) -> int:
        """Count the jobs whose end was seen."""
        return sum(not job.is_open for job in self.jobs.values())

    def excuse(self, vmid: int, reason: str, *, since: float) -> None:
        """Excuse the jobs that a fault on a VMID may have hit: those not ended before it began."""
        for job in self.jobs.values():
            if vmid in job.vmids and (job.is_open or job.ended_at >= since):
                job.excuses.append(reason)
