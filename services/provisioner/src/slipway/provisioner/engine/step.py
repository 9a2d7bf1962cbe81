"""A step of a run: what it does, how it is cancelled, how a retry treats it. Pure."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from inspect import getdoc
from typing import Any, Generic, Literal, Protocol, TypeVar

from slipway.contracts.jobs import RunJob
from slipway.contracts.values import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a step ended well."""

    status: Literal["finished", "skipped"] = "finished"
    message: str | None = None


DONE = Result()
SKIPPED = Result(status="skipped")
NOTHING_TO_DO = Result(message="nothing to do")
"""The goal was reached already."""


class RunContext(Protocol):
    """What the engine needs of the object that every step works with."""

    step: "Step[Any] | None"
    """The step that runs now; the engine sets it."""
    command: RunJob


WorkT = TypeVar("WorkT", bound=RunContext)
EndAct = Callable[[], Awaitable[None]]
"""Ends the act of a step within this process, and waits until it has ended."""


async def end_act_only(_work: RunContext, end_act: EndAct) -> None:
    """Cancel a step that begins nothing outside of this process."""
    await end_act()


@dataclass(frozen=True, kw_only=True)
class Step(Generic[WorkT]):
    """One step of a run: done once, never again."""

    name: str
    act: Callable[[WorkT], Awaitable[Result]]
    cancel: Callable[[WorkT, EndAct], Awaitable[None]] = end_act_only
    """Ends what the step began outside of this process, and its act, in the order that suits it."""
    ended_by: frozenset[str] | None = None
    """For work that goes on without this process: the codes of failures after which it has ended. After any
    other failure `cancel` ends it. None: a failure leaves nothing that goes on."""
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
    """Whether a cancel ends it at once; a step past its point of no return is waited for."""
    looks_first: bool = False
    """Whether it writes the record itself before it changes anything, if it does: its begin may wait for that
    write, as `Journal.defer` says."""
    looks_after: bool = False
    """Whether it only looks at the effect of earlier steps: a plan can't know what it will see."""
    script: str | None = None
    index: int | None = None
    total: int | None = None
    scripts: tuple[str, ...] = ()
    """On the first step of sync: all scripts in their order."""

    @property
    def purpose(self) -> str:
        """The first line of its function's docstring, as a plan shows it."""
        act = self.act.func if isinstance(self.act, partial) else self.act
        text = (getdoc(act) or self.name).splitlines()[0].rstrip(".")
        return f"{text}: {self.script}" if self.script else text


def before_first(steps: tuple[Step[WorkT], ...], first: str | None) -> tuple[Step[WorkT], ...]:
    """Return the steps before the one, or the phase, with which a retry begins."""
    place = next((i for i, step in enumerate(steps) if first in {step.name, step.phase}), 0)
    origin = steps[place].retried_from
    return before_first(steps, origin) if origin else steps[:place]


def before_retry(steps: tuple[Step[WorkT], ...], first: str | None) -> set[str]:
    """Return the names of the steps that a retry skips: those before the failed one that are not repeated."""
    return {step.name for step in before_first(steps, first) if not step.is_repeated}
