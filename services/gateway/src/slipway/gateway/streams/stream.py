"""Server-sent events: one viewer's stream, as raw ASGI. `id:` is the stream's sequence.

Theory of operation. The viewer is attached to the relay first, at a sequence; what comes before it is read
from the stream (or from the relay's memory, if that reaches back far enough), what comes after it waits
meanwhile. `Last-Event-ID` (header, or `last_event_id` in the query) resumes exactly: nothing lost, nothing
twice. An id that the stream does not know any more, or not yet, yields `reset` and the log from its start;
the fleet has no start, so its viewer goes on from now. How a stream begins is `replay`'s.

The log of a job that has ended is read where it is stored (`job_logs`), which reaches further back than
the bus. A job's stream ends after `done`. Who comes again after that gets 204, which keeps an EventSource
away.

A viewer that is too slow is dropped: it has ten seconds to take the events that wait, then its connection is
cut, and it resumes. Parts of Slipway that are away are sent as the event `outage`, which has no id. Access
is checked again with each heartbeat; the stream ends when it is refused.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from urllib.parse import parse_qs

from slipway.contracts.message import Moment
from slipway.contracts.problems import FieldError, Invalid, Rejected, Unavailable
from slipway.gateway.streams.relay import Relay
from slipway.gateway.streams.replay import Opening, Replay
from slipway.gateway.streams.viewer import Item, Viewer
from slipway.runtime.process.chunks import chunk_writer
from slipway.runtime.process.ending import end
from slipway.runtime.process.health import Receive, Scope, Send
from slipway.runtime.process.slow_clients import hang_up

AT_ONCE_BYTES = 256 * 1024
"""How much is sent at once; the connection takes it only when it is nearly empty."""
_GOODBYE_SECONDS = 1.0
_LONGEST_ID = 19
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]

MayLook = Callable[[], Awaitable[object]]
"""Raises `Rejected` once the viewer may look no longer."""


class EventStreams:
    """Opens streams."""

    def __init__(
        self,
        relay: Relay,
        replay: Replay,
        stopping: asyncio.Event,
        *,
        heartbeat: timedelta,
        grace: timedelta,
    ) -> None:
        self._relay = relay
        self._replay = replay
        self._stopping = stopping
        self._heartbeat_seconds = heartbeat.total_seconds()
        """How long a stream may be quiet; also how often it is asked who looks."""
        self._grace_seconds = grace.total_seconds()
        """How long a dropped viewer may take for what waits."""

    async def serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        job: str | None,
        may_look: MayLook,
        ended_at: Moment | None = None,
    ) -> None:
        """Stream one job's log, or the fleet's if there is no job.

        `may_look` asks again who is asking; `ended_at` is when the job has ended, if that is known.
        """
        await self._relay.ping()
        after = _last_event_id(scope)
        viewer = Viewer(job, chunk_writer(scope))
        with self._relay.viewing(viewer) as attached_at:
            opening = await self._replay.open(viewer, after, attached_at, ended_at=ended_at)
            pages = self._replay.pages(viewer, opening)
            first: list[Item] = await anext(pages, [])
            if opening.is_over and not first:
                await send({"type": "http.response.start", "status": 204, "headers": _HEADERS[1:]})
                await send({"type": "http.response.body", "body": b""})
                return
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            whole = _following(first, pages)
            writing = asyncio.create_task(self._write(send, viewer, opening, whole, may_look))
            await self._until_ended(writing, viewer, scope, receive, send)

    async def _write(
        self,
        send: Send,
        viewer: Viewer,
        opening: Opening,
        pages: AsyncIterator[list[Item]],
        may_look: MayLook,
    ) -> None:
        await _send(send, opening.begin)
        viewer.seen = opening.after
        async for page in pages:
            await _send_all(send, page)
            viewer.seen = page[-1].sequence
        if not opening.is_over:
            await self._write_live(send, viewer, opening.lasts, may_look)
        await _send(send, b"", is_last=True)

    async def _write_live(
        self, send: Send, viewer: Viewer, lasts: timedelta | None, may_look: MayLook
    ) -> None:
        """Send what comes until the log is over, too much waits, or the viewer may look no longer."""
        pause = self._heartbeat_seconds
        clock = asyncio.get_running_loop().time
        checked_at = began_at = clock()
        while lasts is None or clock() - began_at < lasts.total_seconds():
            taken = await viewer.take(within_seconds=pause)
            if (notice := viewer.take_notice()) is not None:
                await _send(send, notice)
            if clock() - checked_at >= pause:
                if not await _may(may_look):
                    return
                checked_at = clock()
            if taken:
                await _send_all(send, taken)
            else:
                await _send(send, b": alive\n\n")
            is_done = viewer.job is not None and bool(taken) and taken[-1].is_done
            if is_done or viewer.is_finished:
                return

    async def _until_ended(
        self, writing: "asyncio.Task[None]", viewer: Viewer, scope: Scope, receive: Receive, send: Send
    ) -> None:
        gone = asyncio.create_task(_gone(receive))
        stop = asyncio.create_task(self._stopping.wait())
        dropped = asyncio.create_task(viewer.dropped.wait())
        try:
            await asyncio.wait({writing, gone, stop, dropped}, return_when=asyncio.FIRST_COMPLETED)
            if dropped.done():
                left, seconds = {writing, gone, stop}, self._grace_seconds
                await asyncio.wait(left, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_cut = not writing.done() and not gone.done()
            await end(writing, gone, stop, dropped)
        if is_cut:
            await _say_goodbye(scope, receive, send)
        elif not writing.cancelled() and (error := writing.exception()) is not None:
            raise error


async def _following(first: list[Item], rest: AsyncIterator[list[Item]]) -> AsyncIterator[list[Item]]:
    if first:
        yield first
    async for page in rest:
        yield page


async def _may(look: MayLook) -> bool:
    try:
        await look()
    except Rejected:
        return False
    except Unavailable:
        # Access can't be checked now: the viewer stays until it can.
        return True
    return True


async def _say_goodbye(scope: Scope, receive: Receive, send: Send) -> None:
    """End the stream properly; cut the connection if the viewer takes nothing."""
    try:
        await asyncio.wait_for(_send(send, b"", is_last=True), _GOODBYE_SECONDS)
    except (TimeoutError, OSError):
        hang_up(scope)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_gone(receive), _GOODBYE_SECONDS)


async def _send_all(send: Send, items: list[Item]) -> None:
    for portion in _portions(items):
        await _send(send, portion)


def _portions(items: list[Item]) -> Iterator[bytes]:
    """Join the frames that are sent at once."""
    joined: list[bytes] = []
    size = 0
    for item in items:
        if joined and size + len(item.frame) > AT_ONCE_BYTES:
            yield b"".join(joined)
            joined, size = [], 0
        joined.append(item.frame)
        size += len(item.frame)
    if joined:
        yield b"".join(joined)


async def _send(send: Send, body: bytes, *, is_last: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not is_last})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _last_event_id(scope: Scope) -> int | None:
    headers = dict(scope["headers"])
    parameter = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("last_event_id", [""])[0]
    text = headers.get(b"last-event-id", b"").decode("latin-1") or parameter
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID:
        return int(text)
    message = f"{text[:40]!r} is not the id of an event: they are whole numbers."
    raise Invalid(message, errors=[FieldError(field="Last-Event-ID", message=message)])
