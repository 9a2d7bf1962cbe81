"""Server-sent events: one viewer's stream, as raw ASGI. `id:` is the stream's sequence.

`Last-Event-ID` (header, or `last_event_id` in the query) resumes exactly: nothing lost, nothing twice. An id
that the stream does not know any more, or not yet, yields `reset` and the story from its start.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qs

from slipway.contracts.problems import FieldError, Invalid, Unavailable
from slipway.gateway.relay import EVERYTHING, Item, Relay, Viewer, item_of
from slipway.runtime.bus import Bus
from slipway.runtime.health import Receive, Scope, Send
from slipway.runtime.stored import read_page
from slipway.runtime.topology import EVENTS

RETRY_MILLISECONDS = 500
MOST_FLEET_REPLAY = 5000
"""A fleet's viewer that was away for longer than this gets `reset` and what happens from now on."""
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_BATCH_BYTES = 256 * 1024
_RESET = b"event: reset\ndata: {}\n\n"


class NotAttached(Unavailable):
    """The gateway has no connection to the bus yet."""

    code = "events.not-attached"


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
            is_over: whether the job has ended, so that nothing is to be waited for.
        """
        if not self._relay.attached.is_set():
            raise NotAttached("The event stream is not connected to the bus yet; try again.")
        after = _last_event_id(scope)
        viewer = Viewer(job)
        with self._relay.viewing(viewer) as attached_at:
            first, replay = await self._replay(viewer, after, attached_at)
            if is_over and not replay:
                # 204 tells an EventSource not to come again.
                await send({"type": "http.response.start", "status": 204, "headers": _HEADERS[1:]})
                await send({"type": "http.response.body", "body": b""})
                return
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            writing = asyncio.create_task(self._write(send, viewer, first, replay))
            await _first_ended(writing, asyncio.create_task(_gone(receive)), self._stopping)

    async def _replay(self, viewer: Viewer, after: int | None, attached_at: int) -> tuple[bytes, list[Item]]:
        """Give what comes before live: from memory if it reaches back far enough, else from the stream."""
        begin = f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        if after is None and viewer.job is None:
            return begin, []
        if after is not None and (after > attached_at or await self._is_forgotten(after)):
            begin, after = begin + _RESET, None
            if viewer.job is None:
                return begin, []
        kept = [item for item in self._relay.kept if item.sequence <= attached_at]
        newest = [item for item in kept if viewer.wants(item.subject) and item.sequence > (after or 0)]
        if after is not None and kept and kept[0].sequence <= after + 1:
            return begin, newest
        stored = await self._stored(viewer, after or 0, attached_at)
        if stored is None:
            return begin + _RESET, []
        known = stored[-1].sequence if stored else 0
        return begin, stored + [item for item in newest if item.sequence > known]

    async def _stored(self, viewer: Viewer, after: int, until: int) -> list[Item] | None:
        """Read from the stream; None if it is too much for a fleet's viewer."""
        found: list[Item] = []
        while True:
            page = await read_page(
                self._bus.connection, EVENTS, subject=viewer.subject, from_sequence=after + 1
            )
            found += [
                item_of(each)
                for each in page.messages
                if each.sequence <= until and viewer.wants(each.subject)
            ]
            if viewer.job is None and page.remaining > MOST_FLEET_REPLAY:
                return None
            if page.remaining == 0 or not page.messages or page.messages[-1].sequence >= until:
                return found
            after = page.messages[-1].sequence

    async def _is_forgotten(self, after: int) -> bool:
        """Whether the stream begins after the event that was seen last."""
        kept = self._relay.kept
        if kept and kept[0].sequence <= after:
            return False
        page = await read_page(self._bus.connection, EVENTS, subject=EVERYTHING, most=1)
        return bool(page.messages) and page.messages[0].sequence > after

    async def _write(self, send: Send, viewer: Viewer, begin: bytes, replay: list[Item]) -> None:
        seen = 0
        body = bytearray(begin)
        for item in replay:
            body += item.frame
            seen = item.sequence
            if len(body) > _BATCH_BYTES:
                await _send(send, bytes(body))
                body.clear()
        await _send(send, bytes(body))
        if viewer.job and replay and _is_last(replay[-1]):
            await _send(send, b"", is_last=True)
            return
        async for batch in self._batches(viewer):
            fresh = [item for item in batch if item.sequence > seen]
            await _send(send, b"".join(item.frame for item in fresh) if batch else b": alive\n\n")
            if fresh:
                seen = fresh[-1].sequence
                if viewer.job and _is_last(fresh[-1]):
                    break
        await _send(send, b"", is_last=True)

    async def _batches(self, viewer: Viewer) -> AsyncIterator[list[Item]]:
        """Give what waits in the queue, at once; an empty batch when it was quiet; ends when too slow."""
        while True:
            try:
                async with asyncio.timeout(self._heartbeat):
                    first = await viewer.queue.get()
            except TimeoutError:
                yield []
                continue
            batch = [first]
            while not viewer.queue.empty() and len(batch) < QUEUE_BATCH:
                batch.append(viewer.queue.get_nowait())
            yield [item for item in batch if item is not None]
            if None in batch:
                return


QUEUE_BATCH = 256


def _is_last(item: Item) -> bool:
    return item.subject.endswith(".done")


async def _send(send: Send, body: bytes, *, is_last: bool = False) -> None:
    if body or is_last:
        await send({"type": "http.response.body", "body": body, "more_body": not is_last})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first_ended(
    writing: "asyncio.Task[None]", gone: "asyncio.Task[None]", stopping: asyncio.Event
) -> None:
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({writing, gone, stop}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (writing, gone, stop):
            task.cancel()
        results = await asyncio.gather(writing, gone, stop, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, OSError):
            raise result


def _last_event_id(scope: Scope) -> int | None:
    headers = dict(scope["headers"])
    asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("last_event_id", [""])[0]
    given = headers.get(b"last-event-id", b"").decode("latin-1") or asked
    if not given:
        return None
    with contextlib.suppress(ValueError):
        if (number := int(given)) >= 0 and given.isascii():
            return number
    message = f"{given[:40]!r} is not the id of an event: they are whole numbers."
    raise Invalid(message, errors=[FieldError(field="Last-Event-ID", message=message)])
