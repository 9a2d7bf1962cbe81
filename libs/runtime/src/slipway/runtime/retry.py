"""One back-off and one deadline for every loop that tries again.

`slipway up` waits by them too, and is to need nothing else: what belongs to a service is imported when it is
used.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

FIRST_SECONDS = 0.2
LONGEST_SECONDS = 5.0
"""Between two tries of what waits for something that is away: work must go on soon after it is back."""


class Backoff:
    """Pauses that double from the first one to the longest one."""

    def __init__(self, *, first_seconds: float, longest_seconds: float) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self.seconds = first_seconds
        """The next pause."""

    def advance(self, *, longest_seconds: float | None = None) -> float:
        """Return the pause that is due and double the next one.

        Args:
            longest_seconds: a lower bound than the usual one, for this pause and the next.
        """
        longest = self._longest_seconds if longest_seconds is None else longest_seconds
        pause = min(self.seconds, longest)
        self.seconds = min(pause * 2, longest)
        return pause

    async def wait(self, *, longest_seconds: float | None = None) -> None:
        """Sleep for the pause that is due and double the next one."""
        await asyncio.sleep(self.advance(longest_seconds=longest_seconds))

    def reset(self) -> None:
        """Begin with the first pause again: it works."""
        self.seconds = self._first_seconds


class Deadline:
    """A moment after which nothing is tried any more, on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    @property
    def left_seconds(self) -> float:
        """How long there still is; negative after it."""
        return self._ends_at - time.monotonic()

    @property
    def has_passed(self) -> bool:
        """Whether it is over."""
        return self.left_seconds < 0


async def retry_until_available(act: Callable[[], Awaitable[object]], *, event: str) -> None:
    """Try until it succeeds; only `Unavailable` is tried again, and logged as this event each time."""
    from slipway.contracts.problems import Unavailable  # noqa: PLC0415 - see above
    from slipway.runtime.process.logs import get_logger  # noqa: PLC0415

    log = get_logger()
    backoff = Backoff(first_seconds=FIRST_SECONDS, longest_seconds=LONGEST_SECONDS)
    while True:
        try:
            await act()
        except Unavailable as error:
            log.warning(event, code=error.code, reason=error.message)
        else:
            return
        await backoff.wait()
