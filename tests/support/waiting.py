"""Wait for a condition, with a deadline; never for a time. And see whether a process lives."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path


async def until(condition: Callable[[], bool], *, within_seconds: float = 10.0) -> None:
    """Return as soon as the condition holds; fail at the deadline."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about in time"
        await asyncio.sleep(0.02)


def lives(pid: int) -> bool:
    """Whether the process lives; one that is dead and only not reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except FileNotFoundError:
        return False
    return state not in {"Z", "X"}
