"""Patience counts from the first failure of a streak, and has an end."""

from datetime import timedelta

import pytest

from slipway.contracts.problems import Unavailable
from slipway.provisioner.patience import MOST_RENEWALS, Patience
from slipway.proxmox.errors import CommandLost, NodeUnreachable, RunLost, TaskTimedOut

LIMIT = timedelta(minutes=10)
HOURS = 3 * 3600.0


def pauses(patience: Patience, error: Unavailable, lasted: float) -> list[float]:
    """Fail until the patience is over."""
    found: list[float] = []
    while (pause := patience.pause_after(error, lasted)) is not None:
        found.append(pause)
    return found


def test_a_step_that_never_works_is_given_up() -> None:
    """With growing pauses, after about as long as was said."""
    found = pauses(Patience(LIMIT), NodeUnreachable("away"), 1.0)

    assert found[:6] == [1, 2, 4, 8, 15, 15]
    assert 570 <= sum(found) + len(found) <= 601


def test_a_long_step_has_all_its_patience_left() -> None:
    """Its first trouble after hours is one like any other's."""
    patience = Patience(LIMIT)

    first = patience.pause_after(CommandLost("cut"), HOURS)

    assert first == 1
    assert sum(pauses(patience, CommandLost("cut"), 1.0)) > 500


@pytest.mark.parametrize("error", [TaskTimedOut("still runs"), RunLost("died")])
def test_what_ran_out_of_time_gets_no_more(error: Unavailable) -> None:
    """That wait had its deadline already."""
    assert Patience(LIMIT).pause_after(error, HOURS) is None


def test_long_attempts_end_too() -> None:
    """However often the work gets somewhere first."""
    patience = Patience(LIMIT)

    found = pauses(patience, CommandLost("cut"), HOURS)

    assert found == [1] * MOST_RENEWALS
