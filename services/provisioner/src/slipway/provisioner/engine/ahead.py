"""Questions that are asked before their answers are needed, side by side with what is done meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from slipway.runtime.process.ending import end

AnswerT = TypeVar("AnswerT")


class Ahead(Generic[AnswerT]):
    """A question that is asked at once; if that failed, it is asked anew when the answer is needed."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, AnswerT]]) -> None:
        self._ask = ask
        self._asking = asyncio.create_task(ask())

    async def answer(self) -> AnswerT:
        """Return the answer; raise what asking for it raised."""
        asked = self._asking
        if asked.done() and (asked.cancelled() or asked.exception() is not None):
            self._asking = asyncio.create_task(self._ask())
        return await self._asking

    async def aclose(self) -> None:
        """Stop asking."""
        await end(self._asking)
