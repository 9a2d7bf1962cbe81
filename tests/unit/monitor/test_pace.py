"""How often a cluster is asked: seldom while nothing happens, at once and often while jobs run."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

from slipway.monitor.polling.pace import Pace
from slipway.monitor.settings import MonitorSettings


async def seconds_of(waiting: Awaitable[None]) -> float:
    """Return how long a wait takes, 10 s at most."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.wait_for(waiting, 10)
    return loop.time() - began


async def test_a_job_cuts_the_pause_short() -> None:
    """From then on the pauses are the short ones."""
    pace = Pace(MonitorSettings(poll_interval=timedelta(hours=1), busy_interval=timedelta(seconds=0.05)))
    now = asyncio.get_running_loop().time
    waiting = asyncio.create_task(pace.wait(began=now(), times=2))
    await asyncio.sleep(0)
    assert pace.seconds == 3600

    pace.note()

    assert await seconds_of(waiting) >= 0.05
    assert pace.seconds == 0.05


async def test_a_pause_ends_early() -> None:
    """At its bound, or because something is due."""
    pace = Pace(MonitorSettings(poll_interval=timedelta(hours=1)))
    now, due = asyncio.get_running_loop().time, asyncio.Event()

    assert await seconds_of(pace.wait(began=now(), longest=0.01)) >= 0.01
    waiting = asyncio.create_task(pace.wait(began=now(), due=due))
    await asyncio.sleep(0)
    due.set()
    assert await seconds_of(waiting) < 10


async def test_busy_is_never_slower_than_idle() -> None:
    """Whoever sets a short interval gets it always."""
    pace = Pace(MonitorSettings(poll_interval=timedelta(seconds=0.5)))
    pace.note()

    assert pace.seconds == 0.5
