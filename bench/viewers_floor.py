"""The floor of an event stream: each line of the input, written to every connection by uvloop alone.

A program of its own; it prints its port.
"""

import asyncio
import sys

import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


class _Viewer(asyncio.Protocol):
    def __init__(self, viewers: set[asyncio.Transport]) -> None:
        self._viewers = viewers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # TCP's is one

    def data_received(self, _data: bytes) -> None:
        self._transport.write(_HEAD)
        self._viewers.add(self._transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._viewers.discard(self._transport)


async def main() -> None:
    """Write until the input ends."""
    loop, viewers, lines = asyncio.get_running_loop(), set[asyncio.Transport](), asyncio.StreamReader()
    server = await loop.create_server(lambda: _Viewer(viewers), "127.0.0.1", 0, backlog=4096)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print(server.sockets[0].getsockname()[1], flush=True)
    while line := await lines.readline():
        frame = b"data: %b\n" % line
        for viewer in viewers:
            viewer.write(frame)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
