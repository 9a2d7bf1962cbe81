"""Server-sent events of Slipway, followed through any number of broken connections.

Each event is returned once: a new connection resumes after the last event that was read. A server that is
away is waited for, as long as its `Outage` allows.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import EventSource

from slipway.client.tls import refusal, untrusted

_QUIET_SECONDS = 40.0
"""The server sends a comment every 15 s; a connection silent for longer is dead."""
_RETRY_SECONDS = 0.5
_REPORT_SECONDS = 3.0
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
        content: dict[str, Any] = json.loads(self.text) if self.text else {}
        return content


class ServerAway(Exception):
    """The server was away for longer than the caller wants to wait."""


class Outage:
    """How long a server has been away, and who is informed."""

    def __init__(
        self, report: Callable[[str], None] | None = None, *, most_seconds: float | None = None
    ) -> None:
        self._report = report
        self._most_seconds = most_seconds
        self._since: float | None = None
        self._is_reported = False

    def end(self) -> None:
        """Record that the server answers."""
        self._since, self._is_reported = None, False

    def go_on(self, reason: str) -> None:
        """Record that the server does not answer; raise `ServerAway` if that has lasted too long."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if self._report is not None and not self._is_reported and now - self._since > _REPORT_SECONDS:
            self._is_reported = True
            self._report(f"reconnecting: {reason}")
        if self._most_seconds is not None and now - self._since > self._most_seconds:
            raise ServerAway(f"the server was away for {self._most_seconds:.0f} seconds: {reason}")


async def follow(
    client: httpx.AsyncClient,
    path: str,
    *,
    last_event_id: str | None = None,
    outage: Outage | None = None,
) -> AsyncGenerator[ServerEvent, None]:
    """Yield every event up to `done`, none twice, resuming after the last one when the connection breaks.

    The stream ends without `done` if the server answers that nothing comes after `last_event_id`. A
    refusal (401, 404) raises `httpx.HTTPStatusError`; a server that is away is waited for.
    """
    outage = outage or Outage()
    timeout = httpx.Timeout(10.0, read=_QUIET_SECONDS)
    while True:
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        reason = "the connection ended"
        try:
            async with client.stream("GET", path, headers=headers, timeout=timeout) as response:
                if response.is_client_error:
                    await response.aread()
                    response.raise_for_status()
                if response.status_code == httpx.codes.NO_CONTENT:
                    return
                if not response.is_success:
                    # A 503 with a problem holds no events: the request is repeated.
                    reason = f"the server answers with status {response.status_code}"
                else:
                    outage.end()
                    async with aclosing(read_events(response)) as events:
                        async for event in events:
                            last_event_id = event.id or last_event_id
                            yield event
                            if event.kind == "done":
                                return
        except httpx.TransportError as error:
            if (refused := refusal(error)) is not None:
                raise untrusted(str(client.base_url), refused) from error
            reason = str(error) or type(error).__name__
        outage.go_on(reason)
        await asyncio.sleep(_RETRY_SECONDS)


async def read_events(response: httpx.Response) -> AsyncGenerator[ServerEvent, None]:
    """Yield the events of one response; those without content (heartbeats) are left out."""
    async with aclosing(EventSource(response).aiter_sse()) as events:
        async for event in events:
            if event.data:
                yield ServerEvent(id=event.id or None, kind=event.event or "message", text=event.data)
