"""Stores the log of every ended job, while the bus still has it.

Theory of operation. A job that has ended and whose log is not stored is looked for every few seconds. Its
log is read from the bus, and stored as one once `done` is in it. Two replicas may read the same log; one
of them stores it. A log without an end (`done` never came, or is too old) is stored as it is after an
hour. Nothing is removed from the bus: its own lifetimes do that.
"""

import asyncio
from datetime import timedelta

from slipway.contracts.problems import Unavailable
from slipway.inventory.job_logs.store import JobLogStore, Unarchived
from slipway.inventory.job_logs.truncation import MOST_BYTES, TruncatedLog
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.job_logs import StoredEvent
from slipway.runtime.bus.stored import read_page
from slipway.runtime.process.clock import now
from slipway.runtime.process.logs import get_logger
from slipway.runtime.topology.declared import EVENTS

log = get_logger()

LOOK_SECONDS = 5.0
DONE_WITHIN = timedelta(hours=1)
"""For how long a log's end is waited for."""
PAGE = 64
"""How many stored messages are read at once: one may have 64 KiB."""


class JobLogArchiver:
    """Moves logs from the bus into the tables."""

    def __init__(self, bus: Bus, store: JobLogStore, *, most_bytes: int = MOST_BYTES) -> None:
        self._bus = bus
        self._store = store
        self._most_bytes = most_bytes

    async def run(self) -> None:
        """Store logs until cancelled."""
        while True:
            try:
                await self.keep_all()
            except Unavailable as error:
                log.warning("job logs not stored", reason=error.message, code=error.code)
            await asyncio.sleep(LOOK_SECONDS)

    async def keep_all(self) -> None:
        """Store each log that has ended. Idempotent: a log that is stored stays as it is."""
        for job in await self._store.unarchived():
            journal = await self._read(job)
            if journal.has_ended or now() - job.ended_at > DONE_WITHIN:
                await self._store.keep(job.id, journal.parts(), at=now())

    async def _read(self, job: Unarchived) -> TruncatedLog:
        journal, after = TruncatedLog(self._most_bytes), 0
        while True:
            page = await read_page(
                self._bus.connection,
                EVENTS,
                subject=f"slipway.v1.event.job.{job.id}.>",
                from_sequence=after + 1,
                most=PAGE,
            )
            for each in page.messages:
                journal.add(StoredEvent(each.sequence, each.subject, each.payload))
            if not page.messages or journal.has_ended:
                return journal
            after = page.messages[-1].sequence
