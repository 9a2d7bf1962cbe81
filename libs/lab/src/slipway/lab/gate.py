"""A listening socket that can stand still, or turn everyone away, as those of a node with a fault do.

Theory of operation. While the gate is frozen nothing is accepted: the kernel completes the connection and
keeps what the client sends, and that is all that it hears, not even a TLS handshake or SSH's version; the
same as of a stopped process. Whoever holds an open connection waits for `thawed` before reading or answering.
While the gate is shut connections are reset.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable

from slipway.lab.faults.standing import Faults

BACKLOG = 256
_RESET = struct.pack("ii", 1, 0)


class Gate:
    """A door of one node."""

    def __init__(
        self,
        faults: Faults,
        *,
        is_frozen: Callable[[], bool] = lambda: False,
        is_shut: Callable[[], bool] = lambda: False,
    ) -> None:
        """Close the gate by two questions: a frozen one accepts and answers nothing, a shut one resets."""
        self._faults = faults
        self.is_frozen = is_frozen
        self.is_shut = is_shut
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._admitted: set[asyncio.Task[None]] = set()

    def listen(self, host: str, port: int, admit: Callable[[socket.socket], Awaitable[None]]) -> int:
        """Listen, and give every connection to `admit`; return the port that was taken."""
        self._socket = socket.create_server((host, port), backlog=BACKLOG)
        self._socket.settimeout(0.0)
        self._accepting = asyncio.create_task(self._accept(self._socket, admit))
        return int(self._socket.getsockname()[1])

    async def thawed(self) -> None:
        """Wait while it is frozen."""
        while self.is_frozen():
            await self._faults.changed()

    async def close(self) -> None:
        """Close the socket; what was admitted is not waited for."""
        for task in (self._accepting, *self._admitted):
            if task is not None:
                task.cancel()
        if self._accepting is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._accepting
        if self._socket is not None:
            self._socket.close()

    async def _accept(
        self, listening: socket.socket, admit: Callable[[socket.socket], Awaitable[None]]
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self.thawed()
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError:  # no descriptor is free, or the client went: neither ends the listening
                await asyncio.sleep(0.05)
                continue
            await self.thawed()
            if self.is_shut():
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection.close()
                continue
            task = asyncio.create_task(_admitted(admit, connection))
            self._admitted.add(task)
            task.add_done_callback(self._admitted.discard)


async def _admitted(admit: Callable[[socket.socket], Awaitable[None]], connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        await admit(connection)
