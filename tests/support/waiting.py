"""Wait for a condition, with a deadline; never for a time. And see which processes live."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from pathlib import Path
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def until(condition: Callable[[], Awaitable[T]], *, within_seconds: float = ...) -> T: ...
@overload
async def until(condition: Callable[[], T], *, within_seconds: float = ...) -> T: ...
async def until(condition: Callable[[], Any], *, within_seconds: float = 30.0) -> Any:
    """Return what the condition returns as soon as that is true; fail at the deadline."""
    deadline = time.monotonic() + within_seconds
    while True:
        outcome = condition()
        if isawaitable(outcome):
            outcome = await outcome
        if outcome:
            return outcome
        assert time.monotonic() < deadline, f"the condition did not come about in time: {outcome!r}"
        await asyncio.sleep(0.02)


def lives(pid: int) -> bool:
    """Whether the process lives; one that is dead and only not reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or while it was read
        return False
    return state not in {"Z", "X"}


def processes_of(*command: str) -> list[int]:
    """Return the processes on this machine, in whatever container, that run exactly this command."""
    expected = [word.encode() for word in command]
    pids = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = file.read_bytes().rstrip(b"\0").split(b"\0")
        except OSError:
            continue
        if arguments == expected:
            pids.append(int(file.parent.name))
    return pids
