"""The states of a run and the acts that change them. Pure; `records` checks every write against them."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from slipway.contracts.problems import Conflict
from slipway.contracts.values import JobState


class Act(StrEnum):
    """What changes the state of a run."""

    CLAIMED = "claimed"
    """A worker claims it, for the first time or from another owner: the claim number rises by one."""
    PROGRESSED = "progressed"
    """Its owner records progress."""
    CANCEL_REQUESTED = "cancel-requested"
    """Anyone sets the flag; the owner ends the run. A run that never began ends at once."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


RUN_TRANSITIONS: Mapping[tuple[JobState, Act], JobState] = MappingProxyType(
    {
        (JobState.QUEUED, Act.CLAIMED): JobState.RUNNING,
        (JobState.QUEUED, Act.CANCEL_REQUESTED): JobState.CANCELLED,
        (JobState.RUNNING, Act.CLAIMED): JobState.RUNNING,
        (JobState.RUNNING, Act.PROGRESSED): JobState.RUNNING,
        (JobState.RUNNING, Act.CANCEL_REQUESTED): JobState.RUNNING,
        (JobState.RUNNING, Act.SUCCEEDED): JobState.SUCCEEDED,
        (JobState.RUNNING, Act.FAILED): JobState.FAILED,
        (JobState.RUNNING, Act.CANCELLED): JobState.CANCELLED,
    }
)
"""Queued is a job without a record. A terminal state has no row: it never changes."""


class IllegalTransition(Conflict):
    """The state of the run does not allow this act; nothing was written."""

    code = "run.illegal-move"


def next_state(state: JobState, act: Act) -> JobState:
    """Return the state that follows an act.

    Raises:
        IllegalTransition: if the table has no such row.
    """
    following = RUN_TRANSITIONS.get((state, act))
    if following is None:
        raise IllegalTransition(f"A job that is {state} can't be {act}.", state=state)
    return following


def act_to(state: JobState) -> Act:
    """Return the act of an owner that writes this state."""
    return Act.PROGRESSED if state is JobState.RUNNING else Act(state.value)
