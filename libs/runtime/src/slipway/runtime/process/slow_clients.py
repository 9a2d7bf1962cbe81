"""Bounds what a slow or silent HTTP client may hold: uvicorn waits for one without end.

A connection whose next request does not begin whole (its head) in time is cut, and so is one whose client
takes nothing of what waits for it. What a request's body and an answer may take is the application's matter;
it can cut the connection itself (`hang_up`), which drops what is not sent yet.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import timedelta
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from slipway.runtime.process.chunks import FlowControl, offer_chunk_writer

MOST_HEAD_BYTES = 64 * 1024
"""How long the head of a connection's first request may be."""
TAKES_NOTHING_SECONDS = 60.0
"""How long a client may take nothing while something waits for it."""
FLUSH_SECONDS = 10.0
"""How long a connection that is being closed may go on sending what waits."""

_EXTENSION = "slipway.hang-up"

_Scope = MutableMapping[str, Any]
_App = Callable[[_Scope, Any, Any], Awaitable[None]]


def hang_up(scope: _Scope) -> None:
    """Cut a request's connection at once, whatever still waits to be sent."""
    cut: Callable[[], None] | None = scope.get("extensions", {}).get(_EXTENSION)
    if cut is not None:
        cut()


class _Alarm:
    """Rings once, unless it is put off before."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_on(self) -> bool:
        return self._timer is not None

    def on(self, seconds: float, ring: Callable[[], None]) -> None:
        self.off()
        self._timer = self._loop.call_later(seconds, ring)

    def off(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Watched(asyncio.Protocol):
    """Goes in front of uvicorn's own protocol, whose attributes these are."""

    app: _App
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    flow: FlowControl
    cycle: Any

    head_seconds: float
    _head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._head, self._stalled = _Alarm(self.loop), _Alarm(self.loop)
        self.app = _extended(self.app, self.transport, self.flow)
        self._await_head(0)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_busy():
            self._head.off()
        else:
            self._await_head(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.off()
        self._stalled.off()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        self._stalled.off()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also if its client does not take the last answer."""
        self.transport.close()
        self.loop.call_later(FLUSH_SECONDS, self.transport.abort)

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self, more_bytes: int) -> None:
        # Later it may also be the rest of a body that was refused: that has only its time.
        self._head_bytes += more_bytes if self.cycle is None else 0
        if self._head_bytes > MOST_HEAD_BYTES:
            self.transport.abort()
        elif not self._head.is_on:
            self._head.on(self.head_seconds, self._head_missing)

    def _head_missing(self) -> None:
        if not self._is_busy():
            self.transport.abort()

    def _watch_writing(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._stalled.on(TAKES_NOTHING_SECONDS, lambda: self._look_at_writing(waiting))

    def _look_at_writing(self, before: int) -> None:
        if self.transport.get_write_buffer_size() >= before:
            self.transport.abort()
        else:
            self._watch_writing()


def watched(*, head_within: timedelta) -> type[asyncio.Protocol]:
    """Return the HTTP protocol for uvicorn.

    Args:
        head_within: how long a client may take for the line and the headers of a request.
    """
    return type(
        "WatchedProtocol", (_Watched, AutoHTTPProtocol), {"head_seconds": head_within.total_seconds()}
    )


def _extended(app: _App, transport: asyncio.Transport, flow: FlowControl) -> _App:
    async def extended(scope: _Scope, receive: object, send: object) -> None:
        scope["extensions"] = {_EXTENSION: transport.abort}
        offer_chunk_writer(scope, transport, flow)
        await app(scope, receive, send)

    return extended
