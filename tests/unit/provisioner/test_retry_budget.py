"""RetryBudget counts from the first failure of a streak, and has an end."""

from datetime import timedelta

import pytest

from slipway.contracts.problems import Unavailable
from slipway.provisioner.engine.retry import MOST_RENEWALS, RetryBudget
from slipway.proxmox.errors import CommandLost, NodeUnreachable, RunLost, TaskTimedOut

LIMIT = timedelta(minutes=10)
HOURS = 3 * 3600.0


def pauses(retry_budget: RetryBudget, error: Unavailable, lasted: float) -> list[float]:
    """Fail until the retry budget is used up."""
    waits: list[float] = []
    while (pause := retry_budget.pause_after(error, lasted)) is not None:
        waits.append(pause)
    return waits


def test_a_step_that_never_works_is_given_up() -> None:
    """With growing pauses, after about as long as the limit."""
    waits = pauses(RetryBudget(LIMIT), NodeUnreachable("away"), 1.0)

    assert waits[:6] == [1, 2, 4, 8, 15, 15]
    assert 570 <= sum(waits) + len(waits) <= 601


def test_a_long_step_has_its_whole_retry_budget_left() -> None:
    """Its first outage after hours is one like any other's."""
    retry_budget = RetryBudget(LIMIT)

    first = retry_budget.pause_after(CommandLost("cut"), HOURS)

    assert first == 1
    assert sum(pauses(retry_budget, CommandLost("cut"), 1.0)) > 500


@pytest.mark.parametrize("error", [TaskTimedOut("still runs"), RunLost("died")])
def test_what_ran_out_of_time_gets_no_more(error: Unavailable) -> None:
    """That wait had its deadline already."""
    budget = RetryBudget(LIMIT, (TaskTimedOut, RunLost))

    assert budget.pause_after(error, HOURS) is None


def test_long_attempts_end_too() -> None:
    """However often the work gets somewhere first."""
    retry_budget = RetryBudget(LIMIT)

    waits = pauses(retry_budget, CommandLost("cut"), HOURS)

    assert waits == [1] * MOST_RENEWALS
