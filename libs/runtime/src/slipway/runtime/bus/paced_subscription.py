"""Slow down a pull loop: FastStream's fetches again at once, also when the consumer is gone."""

import asyncio
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

PAUSE_SECONDS = 1.0


class PacedSubscription:
    """A pull subscription that pauses after a refusal: its consumer is gone, or has no leader."""

    def __init__(self, subscription: Any) -> None:
        self._subscription = subscription

    async def fetch(self, batch: int = 1, timeout: float | None = None) -> list[Msg]:
        """Fetch messages; raise the subscription's errors after a pause."""
        try:
            messages: list[Msg] = await self._subscription.fetch(batch=batch, timeout=timeout)
        except TimeoutError:
            raise
        except NatsError:
            await asyncio.sleep(PAUSE_SECONDS)
            raise
        return messages

    async def unsubscribe(self) -> None:
        """End it."""
        await self._subscription.unsubscribe()
