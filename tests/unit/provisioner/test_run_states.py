"""A run's table: nothing leaves a terminal state, and every state but the first can be reached."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.contracts.values import JobState
from slipway.provisioner.engine.states import RUN_TRANSITIONS, Act, IllegalTransition, act_to, next_state


@given(st.lists(st.sampled_from(Act)))
def test_a_run_that_ended_never_changes(acts: list[Act]) -> None:
    """Whatever is tried, in whatever order: after the end each is refused and the state stays."""
    state = JobState.QUEUED
    for act in acts:
        if state.is_terminal:
            with pytest.raises(IllegalTransition):
                next_state(state, act)
        elif (state, act) in RUN_TRANSITIONS:
            state = next_state(state, act)


def test_every_state_is_reached() -> None:
    """The table has no state that nothing leads to."""
    assert set(RUN_TRANSITIONS.values()) | {JobState.QUEUED} == set(JobState)


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.QUEUED])
def test_an_owner_reaches_each_state(state: JobState) -> None:
    """What an owner writes has a row of its own from running."""
    assert next_state(JobState.RUNNING, act_to(state)) is state
