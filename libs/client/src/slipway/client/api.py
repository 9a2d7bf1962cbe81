"""The HTTP API as the command line uses it."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import httpx

from slipway.client.sse import Outage, ServerAway, ServerEvent, follow

TIMEOUT_SECONDS = 40.0
"""Longer than the longest question behind the API: adding a cluster reaches the host first."""
_OK = 400
_SERVER_FAULT = 500


class ApiProblem(Exception):
    """The API said no; the text is its own, with the fields that were wrong."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code") or f"http-{status}")
        said = str(
            problem.get("message") or problem.get("detail") or problem.get("title") or f"HTTP {status}"
        )
        # Most messages are made of their faults: those are not repeated.
        faults = [
            f"{each.get('field')}: {each.get('message')}"
            for each in problem.get("errors") or ()
            if str(each.get("message")) not in said
        ]
        super().__init__("; ".join([said, *faults]) + f" ({self.code})")

    @property
    def is_final(self) -> bool:
        """Whether asking the same again would be refused again."""
        return self.status < _SERVER_FAULT


class ApiUnreachable(Exception):
    """Nobody answers at the address."""


class Client:
    """One user's connection to one Slipway."""

    def __init__(self, url: str, token: str) -> None:
        self.now = datetime.now(tz=UTC)
        """By the server's clock, as of its last answer."""
        headers = {"Authorization": f"Bearer {token}"}
        try:
            self._http = httpx.AsyncClient(
                base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False
            )
        except httpx.InvalidURL as error:
            raise ApiUnreachable(f"{url} is no address: {error}") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """Read something below `/api/v1`."""
        return await self._send("GET", path, query=query)

    async def post(self, path: str, body: Mapping[str, Any] | None = None, **query: str) -> dict[str, Any]:
        """Ask for a change below `/api/v1`."""
        return await self._send("POST", path, query=query, body=body)

    async def delete(self, path: str, **query: str) -> dict[str, Any]:
        """Ask for a deletion below `/api/v1`."""
        return await self._send("DELETE", path, query=query)

    async def items(self, path: str, **query: str | int) -> list[dict[str, Any]]:
        """Read a whole list, page by page."""
        return await self.first(path, None, **query)

    async def first(self, path: str, most: int | None, **query: str | int) -> list[dict[str, Any]]:
        """Read a list's first items, page by page; all of them if no number is given."""
        found: list[dict[str, Any]] = []
        page = await self.get(path, **query)
        found += page["items"]
        while page.get("next") and (most is None or len(found) < most):
            page = await self.get(path, **query, cursor=page["next"])
            found += page["items"]
        return found[:most]

    async def follow_job(
        self, job: str, *, last_event_id: str | None = None, outage: Outage | None = None
    ) -> AsyncGenerator[ServerEvent, None]:
        """Follow a job's log to its end, through broken connections; the last event is `done`."""
        path = f"/api/v1/jobs/{job}/events"
        log = follow(self._http, path, last_event_id=last_event_id, outage=outage)
        async with aclosing(log) as events:
            try:
                async for event in events:
                    yield event
                    if event.kind == "done":
                        return
            except httpx.HTTPStatusError as error:
                raise _problem(error.response) from error
            except ServerAway as error:
                raise ApiUnreachable(str(error)) from error
        # The log was seen to its end before: how it ended is asked.
        yield ServerEvent(id=None, kind="done", text=json.dumps(await self.get(f"/jobs/{job}")))

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, f"/api/v1{path}", params=query, json=body)
        except httpx.TransportError as error:
            raise ApiUnreachable(f"{self._http.base_url} does not answer: {error!r}") from error
        self.now = _time_of(answer)
        if answer.status_code >= _OK:
            raise _problem(answer)
        try:
            read = answer.json() if answer.content else {}
        except ValueError:
            read = None
        if not isinstance(read, dict):
            raise ApiUnreachable(f"{self._http.base_url} answers, but not as Slipway does")
        return read


def _time_of(answer: httpx.Response) -> datetime:
    """Give the time by the server's clock; by ours if it does not say."""
    try:
        return parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return datetime.now(tz=UTC)


def _problem(answer: httpx.Response) -> ApiProblem:
    try:
        said = answer.json()
    except ValueError:
        said = {}
    return ApiProblem(answer.status_code, said if isinstance(said, dict) else {})
