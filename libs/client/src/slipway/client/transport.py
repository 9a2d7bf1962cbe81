"""The HTTP API as JSON: one connection, its problems as exceptions, lists page by page, job logs with resume.

The command line works on this level, because it prints what the API answers; `client` adds types.
"""

import json
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx

from slipway.client.sse import Outage, ServerAway, ServerEvent, follow
from slipway.client.tls import NotTrusted, Trust, refusal, untrusted

TIMEOUT_SECONDS = 40.0
"""Longer than the longest question behind the API: adding a cluster reaches the host first."""
HOST_SECONDS = 140.0
"""Longer than it takes to make access on a node, to test it, and to take it away again."""
_LIMITS = httpx.Limits(keepalive_expiry=3.0)
"""Some servers and proxies close a connection that rested for 5 s, which is also httpx' own limit: what is
sent just then gets no answer."""
_FIRST_PROBLEM = 400
_FIRST_SERVER_FAULT = 500


class ApiProblem(Exception):
    """The API refused a request; the text is its own, with the fields that were wrong."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code") or f"http-{status}")
        message = str(
            problem.get("message") or problem.get("detail") or problem.get("title") or f"HTTP {status}"
        )
        self.checks: Sequence[Mapping[str, Any]] = problem.get("checks") or ()
        """Of a cluster that was tested."""
        super().__init__(f"{_whole(message, problem.get('errors') or ())} ({self.code})")

    @property
    def is_final(self) -> bool:
        """Whether the same request would be refused again."""
        return self.status < _FIRST_SERVER_FAULT


class ApiUnreachable(Exception):
    """Nobody answers at the address, or not as Slipway does."""


class Transport:
    """One user's connection to one Slipway."""

    def __init__(self, url: str, token: str, trust: Trust | None = None) -> None:
        """Prepare; raise `NotTrusted` if what is to be trusted can't be used."""
        self.now = datetime.now(tz=UTC)
        """The server's clock, as of its last response."""
        headers = {"Authorization": f"Bearer {token}"}
        try:
            self._http = httpx.AsyncClient(
                base_url=url,
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                trust_env=False,
                verify=(trust or Trust()).context(url),
                limits=_LIMITS,
            )
        except httpx.InvalidURL as error:
            raise ApiUnreachable(f"{url} is no address: {error}") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._http.aclose()

    def confirm_self(self) -> None:
        """Confirm with each request from now on that it may end Slipway itself."""
        self._http.headers["Slipway-Confirm"] = "self"

    async def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """Read something below `/api/v1`."""
        return await self._send("GET", path, query=query)

    async def post(self, path: str, body: Mapping[str, Any] | None = None, /, **query: str) -> dict[str, Any]:
        """Request a change below `/api/v1`."""
        return await self._send("POST", path, query=query, body=body)

    async def ask_host(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Request what a host takes its time for, below `/api/v1`."""
        return await self._send("POST", path, body=body, timeout_seconds=HOST_SECONDS)

    async def put(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Set something below `/api/v1`."""
        return await self._send("PUT", path, body=body)

    async def delete(self, path: str, **query: str) -> dict[str, Any]:
        """Request a deletion below `/api/v1`."""
        return await self._send("DELETE", path, query=query)

    async def items(self, path: str, most: int | None = None, /, **query: str | int) -> list[dict[str, Any]]:
        """Read a list's first items, page by page; all of them without a number."""
        page = await self.get(path, **query)
        items: list[dict[str, Any]] = list(page["items"])
        while page.get("next") and (most is None or len(items) < most):
            page = await self.get(path, **query, cursor=page["next"])
            items += page["items"]
        return items[:most]

    async def follow_job(
        self, job: str, *, last_event_id: str | None = None, outage: Outage | None = None
    ) -> AsyncGenerator[ServerEvent, None]:
        """Yield a job's log to its end, through broken connections; the last event is `done`."""
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
        # The log was read to its end before: the job itself knows how it ended.
        yield ServerEvent(id=None, kind="done", text=json.dumps(await self.get(f"/jobs/{job}")))

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> dict[str, Any]:
        try:
            response = await self._http.request(
                method, f"/api/v1{path}", params=query, json=body, timeout=timeout_seconds
            )
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        self.now = _clock(response)
        if response.status_code >= _FIRST_PROBLEM:
            raise _problem(response)
        content = _json(response) if response.content else {}
        if content is None:
            raise ApiUnreachable(f"{self._http.base_url} answers, but not as Slipway does")
        return content

    def _unreachable(self, error: httpx.TransportError) -> "ApiUnreachable | NotTrusted":
        url = self._http.base_url
        if (reason := refusal(error)) is not None:
            return untrusted(str(url), reason)
        return ApiUnreachable(f"{url} does not answer: {error!r}")


def _whole(message: str, errors: Iterable[Mapping[str, Any]]) -> str:
    """Return a message and the faults that it leaves out, each once.

    Most messages are nothing but their faults: then those are returned, with the names of their fields.
    """
    faults = [(str(each.get("field") or ""), str(each.get("message"))) for each in errors]
    named = [f"{field}: {text}" if field else text for field, text in faults]
    if faults and message in {"; ".join(named), "; ".join(text for _, text in faults)}:
        return "; ".join(named)
    left_out = [line for line, (_, text) in zip(named, faults, strict=True) if text not in message]
    return " ".join(filter(None, [message, "; ".join(left_out)]))


def _clock(response: httpx.Response) -> datetime:
    """Return the time by the server's clock; by ours if it does not say."""
    try:
        return parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return datetime.now(tz=UTC)


def _problem(response: httpx.Response) -> ApiProblem:
    return ApiProblem(response.status_code, _json(response) or {})


def _json(response: httpx.Response) -> dict[str, Any] | None:
    """Read a JSON object; None if it is anything else."""
    try:
        content = response.json()
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
