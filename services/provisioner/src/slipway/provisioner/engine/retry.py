"""How long a step that can't be done now is retried. Pure: the caller measures how long each attempt took."""

from datetime import timedelta

from slipway.contracts.problems import SlipwayError, Unavailable
from slipway.runtime.retry import Backoff

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
LONG_SECONDS = 120.0
"""An attempt that took longer was at work when it met the outage; one that only fails takes less."""
MOST_RENEWALS = 5
"""How often one step may get its whole budget back: every wait has an end."""


class RetryBudget:
    """The retry budget of one step.

    It counts from the beginning of a streak of failures, not of the step: a script may run for hours before
    its connection dies for the first time.
    """

    def __init__(self, limit: timedelta, deadline_errors: tuple[type[SlipwayError], ...] = ()) -> None:
        """Begin with the whole budget.

        Args:
            limit: how long a streak of failures may last.
            deadline_errors: errors of attempts whose own time had run out; they renew nothing.
        """
        self._limit_seconds = limit.total_seconds()
        self._deadline_errors = deadline_errors
        self._renewals = 0
        self._spent_seconds = 0.0
        self._backoff = Backoff(first_seconds=FIRST_PAUSE_SECONDS, longest_seconds=LONGEST_PAUSE_SECONDS)

    def pause_after(self, error: Unavailable, lasted_seconds: float) -> float | None:
        """Return the seconds until the next attempt; None if the retry budget is used up.

        Args:
            error: how the attempt ended.
            lasted_seconds: how long it took.
        """
        if self._was_at_work(error, lasted_seconds):
            self._renewals += 1
            self._spent_seconds = 0.0
            self._backoff.reset()
        else:
            self._spent_seconds += lasted_seconds
        pause = self._backoff.seconds
        if self._spent_seconds + pause > self._limit_seconds:
            return None
        self._spent_seconds += pause
        return self._backoff.advance()

    def _was_at_work(self, error: Unavailable, lasted_seconds: float) -> bool:
        is_long = lasted_seconds > min(LONG_SECONDS, self._limit_seconds)
        return is_long and not isinstance(error, self._deadline_errors) and self._renewals < MOST_RENEWALS
