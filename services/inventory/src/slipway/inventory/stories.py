"""Keeps the story of every ended job, while the bus still has it.

Theory of operation. A job that has ended and whose story is not kept is looked for every few seconds. Its
story is read from the bus, and stored as one once `done` is in it. Two replicas may read the same story; one
of them stores it. A story without an end (`done` was never said, or is too old) is kept as it is after an
hour. Nothing is removed from the bus: its own lifetimes do that.
"""

import asyncio
from datetime import timedelta

from slipway.contracts.problems import Unavailable
from slipway.inventory.store.stories import StoryStore, Untold
from slipway.inventory.telling import MOST_BYTES, Telling
from slipway.runtime.bus import Bus
from slipway.runtime.clock import now
from slipway.runtime.logs import get_logger
from slipway.runtime.stored import read_page
from slipway.runtime.stories import Told
from slipway.runtime.topology import EVENTS

log = get_logger()

LOOK_SECONDS = 5.0
PATIENCE = timedelta(hours=1)
"""For how long a story's end is waited for."""
PAGE = 64
"""How many stored messages are read at once: one may have 64 KiB."""


class StoryKeeper:
    """Moves stories from the bus into the tables."""

    def __init__(self, bus: Bus, stories: StoryStore, *, most_bytes: int = MOST_BYTES) -> None:
        self._bus = bus
        self._stories = stories
        self._most_bytes = most_bytes

    async def run(self) -> None:
        """Keep stories until cancelled."""
        while True:
            try:
                await self.keep_all()
            except Unavailable as error:
                log.warning("stories can't be kept now", reason=error.message, code=error.code)
            await asyncio.sleep(LOOK_SECONDS)

    async def keep_all(self) -> None:
        """Keep each story that has ended. Idempotent: a story that is kept stays as it is."""
        for each in await self._stories.untold():
            await self._keep(each)

    async def _keep(self, job: Untold) -> None:
        telling = await self._read(job)
        if telling.has_ended or now() - job.ended_at > PATIENCE:
            await self._stories.keep(job.id, telling.parts(), at=now())

    async def _read(self, job: Untold) -> Telling:
        telling, after = Telling(self._most_bytes), 0
        while True:
            page = await read_page(
                self._bus.connection,
                EVENTS,
                subject=f"slipway.v1.event.job.{job.id}.>",
                from_sequence=after + 1,
                most=PAGE,
            )
            for each in page.messages:
                telling.add(Told(each.sequence, each.subject, each.payload))
            if not page.messages or telling.has_ended:
                return telling
            after = page.messages[-1].sequence
