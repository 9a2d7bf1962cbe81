"""Cancel tasks reliably."""

import asyncio
from typing import Any

AGAIN_SECONDS = 3.0


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait until they are over, whatever they end with.

    They are cancelled again after a while: under Python 3.11 one cancellation may get lost:
    `asyncio.wait_for`, and with it every request of nats-py, returns its result and forgets that it was
    cancelled if both come at once (python/cpython#86296). A loop would go on for ever.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            # Retrieved, so that Python does not report it as never retrieved.
            task.exception()
