"""Ask a durable consumer for work: one request at a time for all slots, at the pace that it can be answered.

FastStream's own loop has a request on the bus for each slot, fetches again at once when the consumer is gone,
and does not notice that the server which had its request was restarted. A slot that waits for its turn costs
nothing, and a worker that freezes receives one message at most that it will not handle. The requests of all
workers end at the same moments by the clock, so that the bus is woken once for all of them.
"""

import asyncio
import time
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

PAUSE_SECONDS = 1.0
FIRST_SECONDS = 0.5
"""For the first request of a slot, which FastStream sends before its subscription can be wrapped."""
LEAST_SHARE = 0.1
"""Of the time that a request waits: one that would end sooner ends a round later."""


class PacedSubscription:
    """A pull subscription of one slot; it pauses after a refusal: its consumer is gone, or has no leader."""

    def __init__(self, subscription: Any, turn: asyncio.Lock, *, wait_seconds: float) -> None:
        """Wrap a subscription.

        Args:
            subscription: of nats-py.
            turn: the lock that all slots of a consumer share.
            wait_seconds: how long a request waits on the bus, about: its end is a multiple of that.
        """
        self._subscription = subscription
        self._wait_seconds = wait_seconds
        self._turn = turn
        self._limit: asyncio.Timeout | None = None

    async def fetch(self, batch: int = 1, timeout: float | None = None) -> list[Msg]:  # noqa: ARG002 - FastStream's
        """Fetch messages; raise the subscription's errors after a pause. `timeout` was for the first."""
        async with self._turn:
            messages: list[Msg] = []
            wait_seconds = seconds_left(time.time(), self._wait_seconds)
            try:
                async with asyncio.timeout(None) as limit:
                    self._limit = limit
                    messages = await self._subscription.fetch(batch=batch, timeout=wait_seconds)
            except NatsError as error:
                if not isinstance(error, TimeoutError):
                    await asyncio.sleep(PAUSE_SECONDS)
                raise
            except TimeoutError:
                pass  # by `ask_again`; the next fetch asks
            finally:
                self._limit = None
            return messages

    def ask_again(self) -> None:
        """Give up the request that waits, as the server does not have it any more; the next one follows."""
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time())

    async def unsubscribe(self) -> None:
        """End it."""
        await self._subscription.unsubscribe()


def seconds_left(now: float, round_seconds: float) -> float:
    """Return how long a request waits that begins now: to the end of the round, or else of the next one."""
    left = round_seconds - now % round_seconds
    return left if left > round_seconds * LEAST_SHARE else left + round_seconds
