"""Recorded exchanges with a real node, played again to the lab, and what differs.

A recording has an order: containers come and go, tasks are named by what the node answered. So the player
keeps a map from recorded task names to the lab's, waits where the recorded client had waited, and logs in as
the recorded client did (the label says so). Compared are status, reason phrase, error texts and the keys of
what was answered; not values that a machine decides.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from slipway.lab.node import Lab
from slipway.lab.schema.calls import CALLS
from support.clients import http_client
from support.lab import ended, trust

UPID = re.compile(r"UPID:pve1:[0-9A-F]{8}:[0-9A-F]{8}:[0-9A-F]{8}:[\w-]+:[\w@]*:[^:\s\"/]+:")
PREFIX = "/api2/json"
_CALLS = [re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(call))) for call in CALLS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One recorded exchange."""

    number: int
    label: str
    method: str
    path: str
    parameters: Mapping[str, Any]
    status: int
    reason: str
    body: Any

    @property
    def call(self) -> str:
        """Method and path without query."""
        return f"{self.method} {self.path.partition('?')[0].rstrip('/') or '/'}"


def read(path: Path) -> Iterator[Exchange]:
    """Read a file of recorded exchanges."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        stored = json.loads(line)
        yield Exchange(
            number=number,
            label=stored["label"],
            method=stored["method"],
            path=stored["path"]
            .removeprefix(PREFIX)
            .replace("%3A", ":")
            .replace("%40", "@")
            .replace("%21", "!"),
            parameters=stored["data"] or {},
            status=stored["status"],
            reason=stored["reason"],
            body=stored["body"],
        )


MAY_ADD = {"tokenid", "inet"}
"""The recording may be of root's tasks and of a guest without an address."""


class Recording(Protocol):
    """What belongs to one recording besides its exchanges."""

    @property
    def aside(self) -> Mapping[int, str]:
        """Exchanges that are not played, and why; besides those of calls that are not in use."""
        ...

    def headers(self, player: "Player", exchange: Exchange) -> dict[str, str]:
        """Log in as the recorded client did."""
        ...

    async def before(self, player: "Player", exchange: Exchange) -> None:
        """Do what happened to the recorded node besides the requests."""
        ...


class Player:
    """Plays exchanges to a lab."""

    def __init__(self, lab: Lab, recording: Recording, client: httpx.AsyncClient) -> None:
        self.lab = lab
        self._client = client
        self.ticket = ""
        self.names: dict[str, str] = {}
        """What the recorded node named so is named otherwise by the lab: tasks, archives."""
        self._recording = recording
        self._csrf = ""

    async def play(self, exchange: Exchange) -> list[str]:
        """Send one request; give what differs from the recorded answer."""
        await self._recording.before(self, exchange)
        return self._compare(exchange, await self._send(exchange))

    async def race(self, exchanges: list[Exchange]) -> list[str]:
        """Send requests at once; which of them wins is open."""
        answers = await asyncio.gather(*(self._send(exchange) for exchange in exchanges))
        in_order = sorted(answers, key=lambda answer: answer.status_code)
        pairs = zip(sorted(exchanges, key=lambda exchange: exchange.status), in_order, strict=True)
        return [one for exchange, answer in pairs for one in self._compare(exchange, answer)]

    def _compare(self, exchange: Exchange, answer: httpx.Response) -> list[str]:
        body: Any = answer.text
        if answer.text.startswith("{"):
            body = answer.json()
        self._remember(exchange.body, body)
        recorded = json.loads(self.named(json.dumps(exchange.body)))
        differing = [*self._differing_head(exchange, answer), *differences(recorded, body)]
        return [f"#{exchange.number} {exchange.call}: {one}" for one in differing]

    async def _send(self, exchange: Exchange) -> httpx.Response:
        path = self.named(exchange.path)
        if path.endswith("/status") and "stopped" in json.dumps(exchange.body) and path != exchange.path:
            await ended(await self._root(), path.split("/")[-2])
        parameters = {
            key: self.lab.root_password if value == "<masked>" else self.named(value)
            for key, value in exchange.parameters.items()
        }
        if exchange.label == "renew w ticket as password":
            parameters["password"] = self.ticket
        elif exchange.label == "short pw":
            parameters["password"] = "abc"
        await self._root()
        headers = self._recording.headers(self, exchange)
        in_query = exchange.method in ("GET", "DELETE")
        url = path if "?" in path or not in_query else f"{path}?{httpx.QueryParams(parameters)}"
        return await self._client.request(
            exchange.method, url, data=None if in_query else parameters, headers=headers
        )

    async def unseen(
        self, method: str, path: str, parameters: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Any:
        """Send a request that was not recorded, as root unless headers log in otherwise."""
        await self._root()
        in_query = method in ("GET", "DELETE")
        url = f"{path}?{httpx.QueryParams(parameters)}" if in_query else path
        answer = await self._client.request(
            method, url, data=None if in_query else dict(parameters), headers=dict(headers or {})
        )
        return answer.json()["data"]

    async def _root(self) -> httpx.AsyncClient:
        client = self._client
        if not self.ticket:
            login = {"username": "root@pam", "password": self.lab.root_password}
            ticket = (await client.post("/access/ticket", data=login)).json()["data"]
            self.ticket, self._csrf = ticket["ticket"], ticket["CSRFPreventionToken"]
        client.headers["Cookie"] = f"PVEAuthCookie={self.ticket}"
        client.headers["CSRFPreventionToken"] = self._csrf
        return client

    def named(self, value: Any) -> Any:
        """Put the lab's names in the place of the recorded ones."""
        if not isinstance(value, str):
            return value
        for recorded, name in self.names.items():
            value = value.replace(recorded, name)
        return value

    def _remember(self, recorded: Any, body: Any) -> None:
        pairs = zip(UPID.findall(json.dumps(recorded)), UPID.findall(json.dumps(body)), strict=False)
        if isinstance(recorded, dict) and isinstance(recorded.get("data"), str):
            self.names |= dict(pairs)

    def _differing_head(self, exchange: Exchange, answer: httpx.Response) -> Iterable[str]:
        if answer.status_code != exchange.status:
            yield f"status {answer.status_code} instead of {exchange.status} ({answer.reason_phrase})"
        if plain(answer.reason_phrase) != plain(exchange.reason):
            yield f"reason {answer.reason_phrase!r} instead of {exchange.reason!r}"


def differences(recorded: Any, answered: Any, at: str = "body") -> Iterator[str]:
    """Compare keys, and texts where they say what went wrong."""
    if isinstance(recorded, dict) and isinstance(answered, dict):
        if gone := sorted(set(recorded) - set(answered)):
            yield f"{at} lacks {gone}"
        if new := sorted(set(answered) - set(recorded) - MAY_ADD):
            yield f"{at} adds {new}"
        for key in sorted(set(recorded) & set(answered)):
            yield from differences(recorded[key], answered[key], f"{at}.{key}")
    elif isinstance(recorded, list) and isinstance(answered, list):
        yield from _row_differences(recorded, answered, at)
    elif at.endswith(("message", "exitstatus")) or ".errors." in at:
        if "<masked>" not in str(recorded) and plain(str(recorded)) != plain(str(answered)):
            yield f"{at} {answered!r} instead of {recorded!r}"
    elif _kind(recorded) != _kind(answered) and "pressure" not in at:
        yield f"{at} is {_kind(answered)} instead of {_kind(recorded)}"


def _row_differences(recorded: list[Any], answered: list[Any], at: str) -> Iterator[str]:
    """Compare rows that are about the same thing; others by the keys they have."""
    if not all(isinstance(row, dict) for row in (*recorded, *answered)):
        return
    named = {_name(row): row for row in recorded}
    shapes = [frozenset(row) for row in recorded]
    for row in answered:
        counterpart = named.get(_name(row))
        if counterpart is not None and _name(row) is not None and _is_seen(counterpart) == _is_seen(row):
            yield from differences(counterpart, row, f"{at}[{_name(row)}]")
        elif shapes and _name(row) is None and not {frozenset(row), frozenset(row) - MAY_ADD} & set(shapes):
            nearest = min(shapes, key=lambda keys: len(keys ^ set(row)))
            yield f"{at} row adds {sorted(set(row) - nearest)} lacks {sorted(nearest - set(row))}"


def _is_seen(row: dict[str, Any]) -> bool:
    """Whether the node had looked at it: how soon it does is no matter of form."""
    return row.get("status") != "unknown"


def _name(row: dict[str, Any]) -> str | None:
    """Return what a row is about; tasks and times are about themselves."""
    if "upid" in row or "time" in row:
        return None
    for key in ("id", "vmid", "storage", "iface", "key", "realm", "subdir", "volid", "name"):
        if key in row:
            return f"{key} {row[key]}"
    return None


def plain(text: str) -> str:
    """Take out of a text what a machine decides."""
    return re.sub(r"exit code \d+", "exit code", UPID.sub("UPID", text))


def _kind(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return "number"
    return {str: "text", list: "list", dict: "object", type(None): "null"}[type(value)]


def is_played(exchange: Exchange, recording: Recording) -> bool:
    """Whether the lab knows the call, and the exchange stands for itself."""
    is_in_use = any(pattern.fullmatch(exchange.call) for pattern in _CALLS)
    return (is_in_use or exchange.status == 501) and exchange.number not in recording.aside


def open_client(lab: Lab) -> httpx.AsyncClient:
    """Open a client that brings no login of its own."""
    return http_client(base_url=f"{lab.endpoint}{PREFIX}", verify=trust(lab), timeout=60)
