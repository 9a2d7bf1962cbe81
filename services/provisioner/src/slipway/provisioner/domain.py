"""How a run moves: the one table of its states. Pure; `runs` asks it before every write."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from slipway.contracts.problems import Conflict
from slipway.contracts.values import JobState


class Act(StrEnum):
    """What moves a run."""

    CLAIMED = "claimed"
    """A worker takes it, for the first time or over from another: the claim number rises by one."""
    PROGRESSED = "progressed"
    """Its owner writes a step, or that it goes on."""
    CANCEL_ASKED = "cancel-asked"
    """Anyone sets the flag; the owner ends it. What never ran ends at once."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


MOVES: Mapping[tuple[JobState, Act], JobState] = MappingProxyType(
    {
        (JobState.QUEUED, Act.CLAIMED): JobState.RUNNING,
        (JobState.QUEUED, Act.CANCEL_ASKED): JobState.CANCELLED,
        (JobState.RUNNING, Act.CLAIMED): JobState.RUNNING,
        (JobState.RUNNING, Act.PROGRESSED): JobState.RUNNING,
        (JobState.RUNNING, Act.CANCEL_ASKED): JobState.RUNNING,
        (JobState.RUNNING, Act.SUCCEEDED): JobState.SUCCEEDED,
        (JobState.RUNNING, Act.FAILED): JobState.FAILED,
        (JobState.RUNNING, Act.CANCELLED): JobState.CANCELLED,
    }
)
"""Queued is a job without a record. A terminal state has no row: it never changes."""


class IllegalMove(Conflict):
    """A run in this state can't take that; nothing was written."""

    code = "run.illegal-move"


def moved(state: JobState, act: Act) -> JobState:
    """Give the state that follows.

    Raises:
        IllegalMove: if the table has no such row.
    """
    following = MOVES.get((state, act))
    if following is None:
        raise IllegalMove(f"A job that is {state} can't be {act}.", state=state)
    return following


def act_to(state: JobState) -> Act:
    """Name what an owner does who writes this state."""
    return Act.PROGRESSED if state is JobState.RUNNING else Act(state.value)
