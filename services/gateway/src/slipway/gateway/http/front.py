"""Which part answers a path: event streams, the API, or the page."""

import re
from datetime import timedelta

from slipway.contracts.jobs import GetJob
from slipway.gateway.http.gate import Gate
from slipway.gateway.http.pages import Pages
from slipway.gateway.http.problems import not_allowed
from slipway.gateway.identity.auth import Auth, headers_of
from slipway.gateway.streams.stream import EventStreams
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.health import Asgi, Receive, Scope, Send

_EVENTS = re.compile(r"/api/v1(?:/jobs/([a-z0-9][a-z0-9-]{0,126}))?/events")


class Front:
    """The gateway's whole ASGI application."""

    def __init__(
        self, bus: Bus, api: Asgi, streams: EventStreams, auth: Auth, *, body_within: timedelta
    ) -> None:
        self._bus = bus
        self._api = api
        self._streams = streams
        self._auth = auth
        self._pages = Pages()
        self._gate = Gate(self._behind_the_gate, auth, body_within)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await self._gate(scope, receive, send)

    async def _behind_the_gate(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith("/api/"):
            await self._pages(scope, receive, send)
        elif (match := _EVENTS.fullmatch(scope["path"])) is None:
            await self._api(scope, receive, send)
        elif scope["method"] != "GET":
            await not_allowed("GET")(scope, receive, send)
        else:
            await self._stream(scope, receive, send, job=match[1])

    async def _stream(self, scope: Scope, receive: Receive, send: Send, *, job: str | None) -> None:
        row = await self._bus.ask(GetJob(job=job)) if job is not None else None
        has_ended = row is not None and row.state.is_terminal
        await self._streams.serve(
            scope,
            receive,
            send,
            job=row.id if row else None,
            may_look=lambda: self._auth.actor("GET", headers_of(scope["headers"])),
            ended_at=(row.finished_at or row.created_at) if row and has_ended else None,
        )
