"""What a signal ends: the work that waits for it, in good order."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from slipway.runtime.process.ending import end
from slipway.standalone.launch import SIGNALS


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    event = asyncio.Event()
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    return event


async def unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Do some work unless a signal comes first; return whether it was done."""
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if stop.is_set():
        # What it may have failed with is then a consequence of the signal, which children get as well.
        await end(working)
        return False
    working.result()
    return True
