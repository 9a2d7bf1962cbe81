"""Server-sent events: a stream taken apart, and followed through any number of broken connections."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

_QUIET_SECONDS = 40.0
"""The server sends a comment every 15 s; a connection silent for longer is dead."""
_RETRY_SECONDS = 0.5


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


async def follow(
    client: httpx.AsyncClient, path: str, *, last_event_id: str | None = None
) -> AsyncGenerator[ServerEvent, None]:
    """Give every event up to `done`, none twice, going on after the last one when the connection breaks.

    An answer that says no (404, 401) raises `httpx.HTTPStatusError`; a server that is away is waited for.
    """
    timeout = httpx.Timeout(10.0, read=_QUIET_SECONDS)
    while True:
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        try:
            async with client.stream("GET", path, headers=headers, timeout=timeout) as answer:
                if answer.is_client_error:
                    await answer.aread()
                    answer.raise_for_status()
                # Any other bad answer (503 with a problem) holds no events: it is asked again.
                parser = EventParser()
                async for line in _lines(answer):
                    event = parser.feed(line)
                    if event is None:
                        continue
                    last_event_id = event.id or last_event_id
                    yield event
                    if event.kind == "done":
                        return
        except httpx.TransportError:
            pass
        await asyncio.sleep(_RETRY_SECONDS)


async def _lines(answer: httpx.Response) -> AsyncIterator[str]:
    """Split at line ends only: `aiter_lines` would split at every character that Unicode calls one."""
    rest = b""
    async for chunk in answer.aiter_bytes():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r").decode(errors="replace")
