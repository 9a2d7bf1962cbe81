"""The story of a job that has ended, as inventory keeps it: whole, however old.

The bus forgets log lines after a week. So whoever comes after the end is told from here, as soon as the story
is kept; until then, a few seconds, from the bus. The sequences are the same in both.
"""

import base64
from collections.abc import AsyncIterator

from slipway.contracts.stories import GetStory
from slipway.runtime.bus import Bus
from slipway.runtime.stories import Told, unpack


class KeptStory:
    """A kept story from an event on; its first part is read already."""

    def __init__(self, bus: Bus, job: str, after: int, first: list[Told]) -> None:
        self._bus = bus
        self._job = job
        self._after = after
        self._first = first

    async def pages(self) -> AsyncIterator[list[Told]]:
        """Give what was not seen, in its order; never an empty page."""
        events = self._first
        while events:
            after = events[-1].sequence
            yield [each for each in events if each.sequence > self._after]
            _, events = await _part(self._bus, self._job, after)


async def open_story(bus: Bus, job: str, *, after: int = 0) -> KeptStory | None:
    """Open an ended job's story after an event; None if it is not kept."""
    is_kept, first = await _part(bus, job, after)
    return KeptStory(bus, job, after, first) if is_kept else None


async def _part(bus: Bus, job: str, after: int) -> tuple[bool, list[Told]]:
    part = await bus.ask(GetStory(job=job, after=after))
    return part.is_kept, unpack(base64.b64decode(part.packed)) if part.packed else []
