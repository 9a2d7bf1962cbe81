"""The HTTPS front: TLS, HTTP/1.1 and nothing of Proxmox but its manners on the wire.

Theory of operation. One task a connection: read a request, ask the application, write its answer, until the
other side goes, five idle seconds passed, 100 requests were served, or an answer had a status of 400 or more:
pveproxy always closes after those (PVE 9.2, recorded). Written on h11 since clients read the reason phrase,
which ASGI servers don't let an application choose, and since a test may order a connection to be dropped
in the middle. Guarantees: at most 512 KiB of a body is read; a broken request costs only its connection.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate

import h11

from slipway.lab.gate import Gate
from slipway.lab.http.messages import Answer, Request

Application = Callable[[Request], Awaitable[Answer]]

IDLE_SECONDS = 5.0
HANDSHAKE_SECONDS = 30.0
MOST_REQUESTS = 100
MOST_BODY_BYTES = 512 * 1024
MOST_HEADERS = 64
FIRST_ERROR = 400
SERVER = "pve-api-daemon/3.0"


class Front:
    """A listening socket and its connections."""

    def __init__(
        self,
        application: Application,
        tls: ssl.SSLContext,
        gate: Gate,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Serve what comes through the gate; `tls` may be replaced, `clock` gives the dates of answers."""
        self.tls = tls
        self._application = application
        self._gate = gate
        self._clock = clock
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port that was taken."""
        return self._gate.listen(host, port, self._admit)

    async def stop(self) -> None:
        """Close the socket and every connection."""
        await self._gate.close()
        self.drop_all()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def drop_all(self) -> None:
        """Cut every open connection, answers under way included."""
        for connection in self._connections:
            connection.cancel()

    async def _admit(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        await loop.connect_accepted_socket(
            lambda: asyncio.StreamReaderProtocol(reader, self._accept, loop=loop),
            connection,
            ssl=self.tls,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
        )

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._connections.add(task)
        try:
            connection = _Connection(
                reader=reader,
                writer=writer,
                application=self._application,
                gate=self._gate,
                clock=self._clock,
            )
            await connection.serve()
            writer.close()
            await writer.wait_closed()
        except (OSError, h11.ProtocolError, asyncio.CancelledError):
            # Not raised again: asyncio reports the cancellation of this task as an error (Python 3.11).
            writer.transport.abort()
        finally:
            self._connections.discard(task)


@dataclass(slots=True, kw_only=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    application: Application
    gate: Gate
    clock: Callable[[], float]
    http: h11.Connection = field(
        default_factory=lambda: h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
    )

    async def serve(self) -> None:
        for left in reversed(range(MOST_REQUESTS)):
            try:
                request = await self._read()
            except h11.RemoteProtocolError:
                await self._write(Answer(status=400, reason="bad request", body=None), is_last=True)
                return
            await self.gate.thawed()
            if request is None:
                return
            answer = request if isinstance(request, Answer) else await self.application(request)
            await self.gate.thawed()
            if answer.is_lost:
                self.writer.transport.abort()
                return
            await self._write(answer, is_last=left == 0)
            if self.http.our_state is not h11.DONE or self.http.their_state is not h11.DONE:
                return
            self.http.start_next_cycle()

    async def _read(self) -> Request | Answer | None:
        head = await self._event(IDLE_SECONDS)
        if not isinstance(head, h11.Request):
            return None
        headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        if len(head.headers) > MOST_HEADERS:
            return Answer(status=400, reason="too many http header lines", body=None)
        if int(headers.get("content-length", "0")) > MOST_BODY_BYTES:
            return Answer(status=501, reason="for data too large", body=None)
        body = bytearray()
        while isinstance(event := await self._event(None), h11.Data):
            body += event.data
            if len(body) > MOST_BODY_BYTES:
                return Answer(status=501, reason="for data too large", body=None)
        return Request(
            method=head.method.decode(),
            target=head.target.decode("latin-1"),
            headers=headers,
            body=bytes(body),
        )

    async def _event(self, timeout: float | None) -> object:
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self.http.they_are_waiting_for_100_continue:
                waiting = h11.InformationalResponse(status_code=100, headers=[])
                self.writer.write(self.http.send(waiting) or b"")
            try:
                async with asyncio.timeout(timeout):
                    self.http.receive_data(await self.reader.read(64 * 1024))
            except TimeoutError:
                return None

    async def _write(self, answer: Answer, *, is_last: bool) -> None:
        date = formatdate(self.clock(), usegmt=True)
        keeps_open = answer.status < FIRST_ERROR and not is_last
        headers = [
            ("Cache-Control", "max-age=0"),
            ("Connection", "Keep-Alive" if keeps_open else "close"),
            ("Date", date),
            ("Expires", date),
            ("Pragma", "no-cache"),
            ("Server", SERVER),
            *answer.headers.items(),
        ]
        headers.append(("Content-Length", str(len(answer.body or b""))))
        if answer.body is not None and answer.content_type is not None:
            headers.append(("Content-Type", answer.content_type))
        reason = answer.reason.encode("latin-1", "replace")
        self._send(h11.Response(status_code=answer.status, headers=headers, reason=reason))
        if answer.body:
            self._send(h11.Data(data=answer.body))
        self._send(h11.EndOfMessage())
        await self.writer.drain()

    def _send(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        self.writer.write(self.http.send(event) or b"")
