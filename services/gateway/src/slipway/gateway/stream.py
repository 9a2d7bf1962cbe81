"""Server-sent events: one viewer's stream, as raw ASGI. `id:` is the stream's sequence.

Theory of operation. The viewer is attached to the relay first, at a sequence; what comes before it is read
from the stream (or from the relay's memory, if that reaches back far enough), what comes after it waits
meanwhile. `Last-Event-ID` (header, or `last_event_id` in the query) resumes exactly: nothing lost, nothing
twice. An id that the stream does not know any more, or not yet, yields `reset` and the story from its start;
the fleet has no start, so its viewer goes on from now.

The story of a job that has ended is told from where it is kept (`stories`), which reaches further back than
the bus. A job's stream ends after `done`. Who comes again after that gets 204, which keeps an EventSource
away.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qs

from slipway.contracts.jobs import JobDone
from slipway.contracts.problems import FieldError, Invalid
from slipway.gateway.relay import Item, Relay, Viewer, item_of
from slipway.gateway.stories import KeptStory, open_story
from slipway.runtime.bus import Bus
from slipway.runtime.ending import end
from slipway.runtime.health import Receive, Scope, Send
from slipway.runtime.stored import read_page
from slipway.runtime.topology import EVENTS

RETRY_MILLISECONDS = 500
MOST_FLEET_REPLAY = 20_000
"""A fleet's viewer that missed more than this gets `reset`, and what happens from now on."""
PAGE = 64
"""How many stored messages are read at once: one may have 64 KiB."""
_GOODBYE_SECONDS = 1.0
_LONGEST_ID = 19
_BEGIN = f"retry: {RETRY_MILLISECONDS}\n\n".encode()
_RESET = b"event: reset\ndata: {}\n\n"
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a stream begins."""

    begin: bytes
    after: int
    """The last sequence that the viewer has seen."""
    until: int
    """Up to where the story is read; live goes on from there."""
    is_over: bool = False
    """Whether nothing follows."""
    kept: KeptStory | None = None
    """Where the story is read, if not from the bus."""


class EventStreams:
    """Opens streams."""

    def __init__(self, relay: Relay, bus: Bus, stopping: asyncio.Event, heartbeat_seconds: float) -> None:
        self._relay = relay
        self._bus = bus
        self._stopping = stopping
        self._heartbeat = heartbeat_seconds

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, *, job: str | None, is_over: bool = False
    ) -> None:
        """Stream one job's story, or the fleet's.

        Args:
            scope: of the request, and its channels `receive` and `send`.
            receive: tells when the viewer goes away.
            send: to the viewer.
            job: whose story; None is the fleet's.
            is_over: whether the job is known to have ended.
        """
        await self._relay.ping()
        after = _last_event_id(scope)
        viewer = Viewer(job)
        with self._relay.viewing(viewer) as attached_at:
            opening = await self._open(viewer, after, attached_at, is_over=is_over)
            pages = self._pages(viewer, opening)
            first: list[Item] = await anext(pages, [])
            if opening.is_over and not first:
                await send({"type": "http.response.start", "status": 204, "headers": _HEADERS[1:]})
                await send({"type": "http.response.body", "body": b""})
                return
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await _send(send, opening.begin + _joined(first))
            seen = first[-1].sequence if first else opening.after
            writing = asyncio.create_task(self._write(send, viewer, opening, pages, seen))
            await self._until_ended(writing, receive, send)

    async def _open(self, viewer: Viewer, after: int | None, attached_at: int, *, is_over: bool) -> Opening:
        begin = _BEGIN
        if viewer.job is not None and is_over and (kept := await self._kept(viewer.job, after)) is not None:
            return kept
        if after is not None and await self._is_unknown(viewer, after):
            begin, after = begin + _RESET, None
        if viewer.job is None:
            if after is None:
                # An id without data is no event, but what a browser sends when it comes again.
                begin, after = begin + f"id: {attached_at}\n\n".encode(), attached_at
            return Opening(begin=begin, after=after, until=attached_at)
        ended_at = await self._end_of(viewer.job)
        if ended_at is not None or is_over:
            return Opening(begin=begin, after=after or 0, until=ended_at or sys.maxsize, is_over=True)
        return Opening(begin=begin, after=after or 0, until=attached_at)

    async def _kept(self, job: str, after: int | None) -> Opening | None:
        """Open the story of an ended job where it is kept; an id that the bus never gave is unknown."""
        begin = _BEGIN
        if after is not None and not 0 < after <= (await self._relay.bounds())[1]:
            begin, after = begin + _RESET, None
        kept = await open_story(self._bus, job, after=after or 0)
        if kept is None:
            return None
        return Opening(begin=begin, after=after or 0, until=sys.maxsize, is_over=True, kept=kept)

    async def _is_unknown(self, viewer: Viewer, after: int) -> bool:
        """Whether the stream can't tell what followed an event."""
        if after > 0 and self._relay.reaches_back(after):
            return False
        first, last = await self._relay.bounds()
        if viewer.job is not None:
            return not first <= after <= last
        # A fleet's viewer that saw nothing yet has the id before the first.
        return not first - 1 <= after <= last or last - after > MOST_FLEET_REPLAY

    async def _end_of(self, job: str) -> int | None:
        """Tell the sequence of a job's `done`, once there is one."""
        subject = JobDone.subject.replace("{id}", job)
        page = await read_page(self._bus.connection, EVENTS, subject=subject, most=1)
        return page.messages[0].sequence if page.messages else None

    async def _pages(self, viewer: Viewer, opening: Opening) -> AsyncIterator[list[Item]]:
        """Give what lies between what was seen and what comes live; never an empty page."""
        if opening.kept is not None:
            async for told in opening.kept.pages():
                yield [Item.of(each.sequence, each.subject, each.payload) for each in told]
            return
        after, until = opening.after, opening.until
        if opening.is_over or not self._relay.reaches_back(after):
            async for page in self._stored(viewer, after, until):
                after = page[-1].sequence
                yield page
        # A replica that lags answers short; what is newest is here.
        if newest := self._relay.kept(viewer, after=after, until=until):
            yield newest

    async def _stored(self, viewer: Viewer, after: int, until: int) -> AsyncIterator[list[Item]]:
        while after < until:
            page = await read_page(
                self._bus.connection, EVENTS, subject=viewer.subject, from_sequence=after + 1, most=PAGE
            )
            if not page.messages:
                return
            after = page.messages[-1].sequence
            items = [
                item_of(each)
                for each in page.messages
                if each.sequence <= until and viewer.wants(each.subject)
            ]
            if items:
                yield items

    async def _write(
        self, send: Send, viewer: Viewer, opening: Opening, pages: AsyncIterator[list[Item]], seen: int
    ) -> None:
        async for page in pages:
            await _send(send, _joined(page))
            seen = page[-1].sequence
        is_over = opening.is_over
        while not is_over:
            taken = await viewer.take(within_seconds=self._heartbeat)
            fresh = [item for item in taken if item.sequence > seen]
            if fresh:
                seen = fresh[-1].sequence
                await _send(send, _joined(fresh))
            elif not taken:
                await _send(send, b": alive\n\n")
            ended = viewer.job is not None and bool(fresh) and fresh[-1].subject.endswith(".done")
            is_over = ended or viewer.is_finished
        await _send(send, b"", is_last=True)

    async def _until_ended(self, writing: "asyncio.Task[None]", receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_gone(receive))
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({writing, gone, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_cut = not writing.done() and not gone.done()
            await end(writing, gone, stop)
        if is_cut:
            with contextlib.suppress(TimeoutError, OSError):
                await asyncio.wait_for(_send(send, b"", is_last=True), _GOODBYE_SECONDS)
        elif not writing.cancelled() and (error := writing.exception()) is not None:
            raise error


def _joined(items: list[Item]) -> bytes:
    return b"".join([item.frame for item in items])


async def _send(send: Send, body: bytes, *, is_last: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not is_last})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _last_event_id(scope: Scope) -> int | None:
    headers = dict(scope["headers"])
    asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("last_event_id", [""])[0]
    given = headers.get(b"last-event-id", b"").decode("latin-1") or asked
    if not given:
        return None
    if given.isascii() and given.isdigit() and len(given) <= _LONGEST_ID:
        return int(given)
    message = f"{given[:40]!r} is not the id of an event: they are whole numbers."
    raise Invalid(message, errors=[FieldError(field="Last-Event-ID", message=message)])
