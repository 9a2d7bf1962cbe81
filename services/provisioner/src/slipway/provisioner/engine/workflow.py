"""What the engine is given: planner, failure policy and all else that depends on what jobs do."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from slipway.contracts.jobs import RunJob
from slipway.contracts.problems import Problem, SlipwayError
from slipway.contracts.values import JobState
from slipway.provisioner.engine.journal import RunJournal
from slipway.provisioner.engine.step import Step, WorkT

ResultT = TypeVar("ResultT")
AskedT_co = TypeVar("AskedT_co", covariant=True)
Do = Callable[[Step[WorkT]], Awaitable[bool]]
"""Does a step of the failure policy, recorded like any other; returns whether it succeeded."""


class Retry(Protocol):
    """Retries an act until it can be done or the retry budget is used up."""

    def __call__(self, act: Callable[[], Awaitable[ResultT]]) -> Awaitable[ResultT]:
        """Return what the act returns."""


class FailurePolicy(Protocol[WorkT]):
    """What becomes of a step, and of a run, that failed."""

    async def recover(
        self, work: WorkT, error: SlipwayError, *, is_repeated: bool, interruptible: asyncio.Event
    ) -> bool:
        """Remove the cause of an error, where that is possible; return whether to retry at once.

        Args:
            work: the run's.
            error: how the act ended.
            is_repeated: whether it was recovered from an error of this code before.
            interruptible: set it while a cancel loses nothing, though the step is not cancellable.
        """

    def describe(self, problem: Problem, work: WorkT | None, last_lines: str) -> Problem:
        """Return the problem with its evidence, of bounded size."""

    async def settle(self, work: WorkT, do: Do[WorkT], retry: Retry) -> bool:
        """Do what the policy asks for; return whether something may exist on the host now."""


class Questions(Protocol[AskedT_co]):
    """What was asked for a run."""

    async def job_state(self) -> JobState:
        """Return the state of the job, as inventory knows it."""

    async def prepare(self, journal: RunJournal) -> AskedT_co:
        """Return what the steps work with, from the answers."""

    async def aclose(self) -> None:
        """Stop asking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow(Generic[WorkT]):
    """Everything that the engine does not know about jobs."""

    ask: Callable[[RunJob], Questions[WorkT]]
    """Asks for what the steps need. It changes nothing, so it may begin before the run is claimed."""
    first: Callable[[RunJob], Step[WorkT] | None]
    """Returns the first step of a job where that is known before anything was asked."""
    plan: Callable[[WorkT], tuple[Step[WorkT], ...]]
    """Returns the steps of a job; the same for every owner of its run."""
    failure_policy: FailurePolicy[WorkT]
    read_outcome: Callable[[WorkT], Awaitable[Mapping[str, Any]]]
    """Returns what the record stores of the host at the end."""
    leaves_container: Callable[[WorkT], bool]
    """Whether a run that succeeded leaves something on the host."""
    release: Callable[[WorkT], Awaitable[None]]
    """Ends what is open outside of this process for a run that is over or given back."""
    deadline_errors: tuple[type[SlipwayError], ...] = ()
    """Errors of an act whose own time had run out: they use up the retry budget."""
    transient_facts: frozenset[str] = frozenset()
    """Facts about what a step has under way: a retry, which is another job, does not inherit them."""
