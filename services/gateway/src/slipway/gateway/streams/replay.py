"""How a stream begins, and which part of the log is read before it goes on live.

Theory of operation. The events that a viewer has not seen are read page by page. A page may come from a
replica of the bus that lags, and end too early: an empty one ends the log only if the leader has no more
either. The same holds for `done`: only the leader can say that there is none.

A job's row says that it has ended when inventory has stored so; its `done` may leave a moment later. So a
log is over only when its `done` was found, stored or on the bus. If the row says so and there is none, the
viewer stays, up to a minute after the end; then it is taken that none will come.
"""

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from slipway.contracts.job_events import JobDone
from slipway.contracts.message import Moment
from slipway.gateway.streams.job_logs import Pages, open_job_log
from slipway.gateway.streams.relay import Relay
from slipway.gateway.streams.viewer import Item, Viewer
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.stored import read_next, read_page
from slipway.runtime.process.clock import now
from slipway.runtime.topology.declared import EVENTS

RETRY_MILLISECONDS = 500
MOST_FLEET_REPLAY = 20_000
"""A fleet's viewer that missed more than this gets `reset`, and what happens from now on."""
PAGE = 64
"""How many stored messages are read at once: one may have 64 KiB."""
DONE_WITHIN = timedelta(seconds=60)
"""How long after a job's end its `done` is waited for."""
_BEGIN = f"retry: {RETRY_MILLISECONDS}\n\n".encode()
_RESET = b"event: reset\ndata: {}\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a stream begins."""

    begin: bytes
    after: int
    """The last sequence that the viewer has seen."""
    until: int
    """Up to where the log is read; live goes on from there."""
    is_over: bool = False
    """Whether nothing follows."""
    stored: Pages | None = None
    """Where the log is read, if not from the bus."""
    lasts: timedelta | None = None
    """How long it goes on live at most; None is without end."""


class Replay:
    """Reads the events that a viewer has missed."""

    def __init__(self, relay: Relay, bus: Bus) -> None:
        self._relay = relay
        self._bus = bus

    async def open(
        self, viewer: Viewer, after: int | None, attached_at: int, *, ended_at: Moment | None
    ) -> Opening:
        """Return how a viewer's stream begins.

        Args:
            viewer: who looks, attached already.
            after: the last event that they have seen, as they say.
            attached_at: the sequence after which they get everything live.
            ended_at: when the job has ended, if it has.
        """
        if viewer.job is None:
            return await self._open_fleet(viewer, after, attached_at)
        if ended_at is not None and (stored := await self._from_job_log(viewer.job, after)) is not None:
            return stored
        begin = _BEGIN
        if after is not None and await self._is_unknown(viewer, after):
            begin, after = begin + _RESET, None
        seen = after or 0
        subject = JobDone.subject.replace("{id}", viewer.job)
        done = await read_next(self._bus.connection, EVENTS, subject=subject, from_sequence=1)
        if done is not None:
            return Opening(begin=begin, after=seen, until=done.sequence, is_over=True)
        left = None if ended_at is None else ended_at + DONE_WITHIN - now()
        if left is not None and left <= timedelta(0):
            return Opening(begin=begin, after=seen, until=sys.maxsize, is_over=True)
        return Opening(begin=begin, after=seen, until=attached_at, lasts=left)

    async def pages(self, viewer: Viewer, opening: Opening) -> AsyncIterator[list[Item]]:
        """Yield the events between the last one seen and the first live one; never an empty page."""
        if opening.stored is not None:
            async for events in opening.stored:
                yield [Item.of(each.sequence, each.subject, each.payload) for each in events]
            return
        after, until = opening.after, opening.until
        if opening.is_over or not self._relay.reaches_back(after):
            async for page in self._stored(viewer, after, until):
                after = page[-1].sequence
                yield page
        # The newest are here, whatever the stream shows yet.
        if newest := self._relay.stored(viewer, after=after, until=until):
            yield newest

    async def _open_fleet(self, viewer: Viewer, after: int | None, attached_at: int) -> Opening:
        begin = _BEGIN
        if after is not None and await self._is_unknown(viewer, after):
            begin, after = begin + _RESET, None
        if after is None:
            # An id without data is no event, but what a browser sends when it comes again.
            begin, after = begin + f"id: {attached_at}\n\n".encode(), attached_at
        return Opening(begin=begin, after=after, until=attached_at)

    async def _from_job_log(self, job: str, after: int | None) -> Opening | None:
        """Open the log of an ended job where it is stored; an id that the bus never gave is unknown."""
        begin = _BEGIN
        if after is not None and not 0 < after <= (await self._relay.bounds())[1]:
            begin, after = begin + _RESET, None
        stored = await open_job_log(self._bus, job, after=after or 0)
        if stored is None:
            return None
        return Opening(begin=begin, after=after or 0, until=sys.maxsize, is_over=True, stored=stored)

    async def _is_unknown(self, viewer: Viewer, after: int) -> bool:
        """Return whether the stream no longer has what followed an event."""
        if after > 0 and self._relay.reaches_back(after):
            return False
        first, last = await self._relay.bounds()
        if viewer.job is not None:
            return not first <= after <= last
        # A fleet's viewer that saw nothing yet has the id before the first.
        return not first - 1 <= after <= last or last - after > MOST_FLEET_REPLAY

    async def _stored(self, viewer: Viewer, after: int, until: int) -> AsyncIterator[list[Item]]:
        connection, subject = self._bus.connection, viewer.subject
        while after < until:
            page = await read_page(connection, EVENTS, subject=subject, from_sequence=after + 1, most=PAGE)
            messages = list(page.messages)
            if not messages:
                missing = await read_next(connection, EVENTS, subject=subject, from_sequence=after + 1)
                if missing is None:
                    return
                messages = [missing]
            after = messages[-1].sequence
            items = [
                Item.of(each.sequence, each.subject, each.payload)
                for each in messages
                if each.sequence <= until and viewer.wants(each.subject)
            ]
            if items:
                yield items
