"""How often a cluster is asked: now and then while nothing happens, often while jobs run."""

import asyncio

from slipway.contracts.jobs import RunRecord
from slipway.monitor.settings import MonitorSettings
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.ending import end
from slipway.runtime.retry import Deadline
from slipway.runtime.topology.declared import LIVE_PREFIX

BUSY_SECONDS = 15.0
"""How long after the last sign of a job its effects may still show."""


class Pace:
    """The pause between two polls of every cluster; a job cuts it short."""

    def __init__(self, settings: MonitorSettings) -> None:
        self.idle_seconds = settings.poll_interval.total_seconds()
        """The pause while no job runs."""
        self.busy_seconds = min(settings.busy_interval.total_seconds(), self.idle_seconds)
        """The pause while jobs run."""
        self._busy = Deadline(-1.0)
        self._noted = asyncio.Event()

    @property
    def seconds(self) -> float:
        """The pause now."""
        return self.idle_seconds if self._busy.has_passed else self.busy_seconds

    async def listen(self, bus: Bus) -> None:
        """Subscribe to the records of jobs as they are written."""
        await bus.connection.subscribe(f"{LIVE_PREFIX}{RunRecord.subject_filter()}", cb=self._record_written)

    def note(self) -> None:
        """Note that a job changes something now."""
        is_news = self._busy.has_passed
        self._busy = Deadline(BUSY_SECONDS)
        if is_news:
            self._noted.set()
            self._noted = asyncio.Event()

    async def wait(
        self, *, began: float, times: int = 1, longest: float | None = None, due: asyncio.Event | None = None
    ) -> None:
        """Wait until the next poll is due.

        Args:
            began: when the last one began, by the loop's clock.
            times: how many pauses to wait.
            longest: a bound of seconds for this pause.
            due: ends the pause.
        """
        loop = asyncio.get_running_loop()
        while True:
            pause = self.seconds * times
            left = began + (pause if longest is None else min(pause, longest)) - loop.time()
            if left <= 0 or (due is not None and due.is_set()):
                return
            await _wait_for_any(self._noted, *((due,) if due is not None else ()), seconds=left)

    async def _record_written(self, _message: object) -> None:
        self.note()


async def _wait_for_any(*events: asyncio.Event, seconds: float) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(*waiting)
