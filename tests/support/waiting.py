"""Wait for a condition, with a deadline; never for a time."""

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], bool], *, within_seconds: float = 10.0) -> None:
    """Return as soon as the condition holds; fail at the deadline."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about in time"
        await asyncio.sleep(0.02)
