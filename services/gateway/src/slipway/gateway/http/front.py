"""Which part answers a path: event streams, the API, or the page.

What is polled most, containers and jobs, one or a list of them, is answered here: FastAPI takes four times as
long to find a handler as the rest of the gateway needs for all. It declares them, and answers what is asked
otherwise: whatever is wrong with a request, it says.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from starlette.datastructures import QueryParams

from slipway.contracts.containers import GetContainer, ListContainers
from slipway.contracts.jobs import GetJob, ListJobs
from slipway.contracts.message import Query
from slipway.gateway.http.answers import passed_on
from slipway.gateway.http.filters import ContainerFilters, JobFilters
from slipway.gateway.http.gate import Gate
from slipway.gateway.http.pages import Pages
from slipway.gateway.http.problems import not_allowed
from slipway.gateway.http.texts import is_unfit
from slipway.gateway.identity.auth import Auth, headers_of
from slipway.gateway.streams.stream import EventStreams
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.health import Asgi, Receive, Scope, Send

_ID = r"([a-z0-9][a-z0-9-]{0,126})"
_EVENTS = re.compile(rf"/api/v1(?:/jobs/{_ID})?/events")
_CONTAINER = re.compile(rf"/api/v1/containers/{_ID}")
_JOB = re.compile(rf"/api/v1/jobs/{_ID}")
_LISTS: Mapping[str, tuple[type[ContainerFilters | JobFilters], type[ListContainers | ListJobs]]] = (
    MappingProxyType(
        {
            "/api/v1/containers": (ContainerFilters, ListContainers),
            "/api/v1/jobs": (JobFilters, ListJobs),
        }
    )
)
"""What a list's query and its question are."""


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
        elif (read := _read_of(scope)) is not None:
            response = await passed_on(self._bus, read)
            await response(scope, receive, send)
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


def _read_of(scope: Scope) -> Query[Any] | None:
    """Return what a request reads, if that is containers or jobs and it is clear which."""
    if scope["method"] != "GET":
        return None
    if scope["path"] in _LISTS:
        return _list_of(scope["query_string"], *_LISTS[scope["path"]])
    if scope["query_string"]:
        return None
    if (match := _CONTAINER.fullmatch(scope["path"])) is not None:
        return GetContainer(container=match[1])
    if (match := _JOB.fullmatch(scope["path"])) is not None:
        return GetJob(job=match[1])
    return None


def _list_of(
    query: bytes, filters: type[ContainerFilters | JobFilters], kind: type[ListContainers | ListJobs]
) -> Query[Any] | None:
    """Return the question for a list; None if its query is not one that everybody reads alike."""
    asked: dict[str, Any] = {}
    for name, value in QueryParams(query).multi_items():
        if filters.takes_several(name):
            asked.setdefault(name, []).append(value)
        elif name in asked or is_unfit(value):
            return None
        else:
            asked[name] = value
    try:
        return kind.model_validate(filters.model_validate(asked).model_dump())
    except ValidationError:
        return None
