"""A part of an answer that goes to many connections: framed once, written at once.

An ASGI `send` frames each part anew for each connection and is a coroutine; for hundreds of viewers of one
event that is most of the work. `chunk` frames a part once for all (RFC 9112, 7.1), and `ChunkWriter` hands it
to a connection between two `send`s of its answer. It never waits: what a connection does not take now goes
the usual way, through `send`, which waits until it does.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any, Protocol

_EXTENSION = "slipway.chunk-writer"
_CHUNKED = "1.1"
"""The only version of HTTP/1 whose answers may come in chunks (RFC 9112, 6.1)."""


class FlowControl(Protocol):
    """Uvicorn's, of one connection."""

    write_paused: bool
    """Whether more waits to be sent than the transport wants to hold."""


def chunk(part: bytes) -> bytes:
    """Frame a part of a body; it is not empty, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(part), part)


class ChunkWriter:
    """Writes chunks of an answer that has begun and has not ended, while no `send` of it is under way."""

    def __init__(self, transport: asyncio.Transport, flow: FlowControl) -> None:
        self._write = transport.write
        self._is_closing = transport.is_closing
        self._flow = flow

    def write(self, framed: bytes) -> bool:
        """Write a chunk; return whether the connection took it: one that is full or going does not."""
        if self._flow.write_paused or self._is_closing():
            return False
        try:
            self._write(framed)
        except (OSError, RuntimeError):  # a connection that breaks is the matter of its own request only
            return False
        return True


def offer_chunk_writer(
    scope: MutableMapping[str, Any], transport: asyncio.Transport, flow: FlowControl
) -> None:
    """Let a request's application write chunks, if its answer comes in chunks."""
    if scope.get("http_version") == _CHUNKED and scope.get("method") == "GET":
        scope["extensions"][_EXTENSION] = ChunkWriter(transport, flow)


def chunk_writer(scope: MutableMapping[str, Any]) -> ChunkWriter | None:
    """Return what writes chunks of a request's answer; None where they can only be sent."""
    writer: ChunkWriter | None = scope.get("extensions", {}).get(_EXTENSION)
    return writer
