"""Server-sent events: a stream taken apart, and followed through any number of broken connections."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx

_QUIET_SECONDS = 40.0
"""The server sends a comment every 15 s; a connection silent for longer is dead."""
_RETRY_SECONDS = 0.5
_TOLD_SECONDS = 3.0
"""A server that comes back sooner was not really away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent:
    """One event."""

    id: str | None
    kind: str
    text: str

    @property
    def content(self) -> dict[str, Any]:
        """Its content, read as JSON."""
        read: dict[str, Any] = json.loads(self.text) if self.text else {}
        return read


class EventParser:
    """Takes lines, gives events, as the standard of server-sent events says."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._kind = ""
        self._lines: list[str] = []

    def feed(self, line: str) -> ServerEvent | None:
        """Take one line without its end; give the event that it completes."""
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id" and "\0" not in value:
            self._id = value
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._lines.append(value)
        return None

    def _complete(self) -> ServerEvent | None:
        kind, lines = self._kind or "message", self._lines
        self._kind, self._lines = "", []
        return ServerEvent(id=self._id, kind=kind, text="\n".join(lines)) if lines else None


class ServerAway(Exception):
    """A server was away for longer than one wants to wait."""


class Outage:
    """How long a server has been away, and who is told of it."""

    def __init__(
        self, tell: Callable[[str], None] | None = None, *, most_seconds: float | None = None
    ) -> None:
        self._tell = tell
        self._most_seconds = most_seconds
        self._since: float | None = None
        self._is_told = False

    def end(self) -> None:
        """Take note that the server is there."""
        self._since, self._is_told = None, False

    def go_on(self, why: str) -> None:
        """Take note that it is not; raise if that was long enough."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if self._tell is not None and not self._is_told and now - self._since > _TOLD_SECONDS:
            self._is_told = True
            self._tell(f"reconnecting: {why}")
        if self._most_seconds is not None and now - self._since > self._most_seconds:
            raise ServerAway(f"the server was away for {self._most_seconds:.0f} seconds: {why}")


async def follow(
    client: httpx.AsyncClient,
    path: str,
    *,
    last_event_id: str | None = None,
    outage: Outage | None = None,
) -> AsyncGenerator[ServerEvent, None]:
    """Give every event up to `done`, none twice, going on after the last one when the connection breaks.

    It ends without `done` when the server says that the log was seen to its end before. An answer that says
    no (404, 401) raises `httpx.HTTPStatusError`; a server that is away is waited for.
    """
    outage = outage or Outage()
    timeout = httpx.Timeout(10.0, read=_QUIET_SECONDS)
    while True:
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        why = "the connection ended"
        try:
            async with client.stream("GET", path, headers=headers, timeout=timeout) as answer:
                if answer.is_client_error:
                    await answer.aread()
                    answer.raise_for_status()
                if answer.status_code == httpx.codes.NO_CONTENT:
                    return
                async for event in _events(answer, outage):
                    last_event_id = event.id or last_event_id
                    yield event
                    if event.kind == "done":
                        return
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
        outage.go_on(why)
        await asyncio.sleep(_RETRY_SECONDS)


async def _events(answer: httpx.Response, outage: Outage) -> AsyncIterator[ServerEvent]:
    if not answer.is_success:
        # A 503 with a problem holds no events: it is asked again.
        raise httpx.RemoteProtocolError(f"the server answers with status {answer.status_code}")
    outage.end()
    parser = EventParser()
    async for line in _lines(answer):
        event = parser.feed(line)
        if event is not None:
            yield event


async def _lines(answer: httpx.Response) -> AsyncIterator[str]:
    """Split at line ends only: `aiter_lines` would split at every character that Unicode calls one."""
    rest = b""
    async for chunk in answer.aiter_bytes():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r").decode(errors="replace")
