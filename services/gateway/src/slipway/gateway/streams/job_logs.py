"""The log of a job that has ended, as inventory stores it: whole, however old.

The bus deletes log lines after a week. So a viewer that comes after the end reads the log from here, as soon
as it is stored; until then, a few seconds, from the bus. The sequences are the same in both.
"""

import base64
from collections.abc import AsyncIterator

from slipway.contracts.job_logs import GetJobLog
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.job_logs import StoredEvent, unpack

Pages = AsyncIterator[list[StoredEvent]]
"""The events of a log in their order; never an empty page."""


async def open_job_log(bus: Bus, job: str, *, after: int = 0) -> Pages | None:
    """Open an ended job's log after an event; None if it is not stored."""
    is_stored, first = await _part(bus, job, after)
    return _pages(bus, job, after, first) if is_stored else None


async def _pages(bus: Bus, job: str, after: int, events: list[StoredEvent]) -> Pages:
    while events:
        last = events[-1].sequence
        yield [each for each in events if each.sequence > after]
        _, events = await _part(bus, job, last)


async def _part(bus: Bus, job: str, after: int) -> tuple[bool, list[StoredEvent]]:
    part = await bus.ask(GetJobLog(job=job, after=after))
    return part.is_stored, unpack(base64.b64decode(part.packed)) if part.packed else []
