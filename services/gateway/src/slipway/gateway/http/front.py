"""Which part answers a path: event streams, the API, or the page."""

import re

from slipway.contracts.jobs import GetJob
from slipway.gateway.auth import Auth
from slipway.gateway.http.gate import Gate
from slipway.gateway.http.pages import Pages
from slipway.gateway.http.problems import not_allowed
from slipway.gateway.stream import EventStreams
from slipway.runtime.bus import Bus
from slipway.runtime.health import Asgi, Receive, Scope, Send

_EVENTS = re.compile(r"/api/v1(?:/jobs/([a-z0-9][a-z0-9-]{0,126}))?/events")


class Front:
    """The gateway's whole ASGI application."""

    def __init__(self, bus: Bus, api: Asgi, streams: EventStreams, auth: Auth) -> None:
        self._bus = bus
        self._api = api
        self._streams = streams
        self._pages = Pages()
        self._gate = Gate(self._behind_the_gate, auth)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await self._gate(scope, receive, send)

    async def _behind_the_gate(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith("/api/"):
            await self._pages(scope, receive, send)
        elif (asked := _EVENTS.fullmatch(scope["path"])) is None:
            await self._api(scope, receive, send)
        elif scope["method"] != "GET":
            await not_allowed("GET")(scope, receive, send)
        elif (job := asked[1]) is None:
            await self._streams.serve(scope, receive, send, job=None)
        else:
            known = await self._bus.ask(GetJob(job=job))
            await self._streams.serve(scope, receive, send, job=known.id, is_over=known.state.is_terminal)
