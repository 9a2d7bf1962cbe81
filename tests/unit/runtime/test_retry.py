"""Pauses double up to a bound; a deadline passes once."""

import asyncio

import pytest

from slipway.runtime import retry
from slipway.runtime.errors import DatabaseUnavailable
from slipway.runtime.retry import Backoff, Deadline, retry_until_available


def test_pauses_double_up_to_the_longest() -> None:
    """And begin anew after a reset."""
    backoff = Backoff(first_seconds=1, longest_seconds=5)

    pauses = [backoff.advance() for _ in range(5)]
    backoff.reset()

    assert (pauses, backoff.advance()) == ([1, 2, 4, 5, 5], 1)


def test_a_lower_bound_holds_for_this_pause_and_the_next() -> None:
    """What is only away is tried again sooner than what broke."""
    backoff = Backoff(first_seconds=10, longest_seconds=30)

    assert [backoff.advance(), backoff.advance(longest_seconds=5), backoff.advance()] == [10, 5, 5]


def test_a_deadline_passes() -> None:
    """What is left of it becomes negative."""
    assert not Deadline(60).has_passed
    assert 59 < Deadline(60).left_seconds <= 60
    assert Deadline(-1).has_passed


async def test_what_is_unavailable_is_tried_until_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other error ends it."""
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.001)
    failures = iter([DatabaseUnavailable("away"), DatabaseUnavailable("away")])
    calls: list[int] = []

    async def act() -> None:
        calls.append(1)
        if (error := next(failures, None)) is not None:
            raise error

    async def broken() -> None:
        raise ZeroDivisionError

    await asyncio.wait_for(retry_until_available(act, event="test waits"), 5)
    with pytest.raises(ZeroDivisionError):
        await retry_until_available(broken, event="test waits")

    assert len(calls) == 3
