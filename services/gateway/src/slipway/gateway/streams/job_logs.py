"""The log of a job that has ended, as inventory stores it: whole, however old.

The bus deletes log lines after a week. So a viewer that comes after the end reads the log from here, as soon
as it is stored; until then, a few seconds, from the bus. The sequences are the same in both.
"""

import base64
from collections.abc import AsyncIterator

from slipway.contracts.job_logs import GetJobLog
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.job_logs import StoredEvent, unpack


class StoredJobLog:
    """A stored log from an event on; its first part is read already."""

    def __init__(self, bus: Bus, job: str, after: int, first: list[StoredEvent]) -> None:
        self._bus = bus
        self._job = job
        self._after = after
        self._first = first

    async def pages(self) -> AsyncIterator[list[StoredEvent]]:
        """Yield the events that were not seen, in order; never an empty page."""
        events = self._first
        while events:
            after = events[-1].sequence
            yield [each for each in events if each.sequence > self._after]
            _, events = await _part(self._bus, self._job, after)


async def open_job_log(bus: Bus, job: str, *, after: int = 0) -> StoredJobLog | None:
    """Open an ended job's log after an event; None if it is not stored."""
    is_stored, first = await _part(bus, job, after)
    return StoredJobLog(bus, job, after, first) if is_stored else None


async def _part(bus: Bus, job: str, after: int) -> tuple[bool, list[StoredEvent]]:
    part = await bus.ask(GetJobLog(job=job, after=after))
    return part.is_stored, unpack(base64.b64decode(part.packed)) if part.packed else []
