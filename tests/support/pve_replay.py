"""Recorded exchanges with a real node, played again to the lab, and what differs.

A recording is a story: containers come and go, tasks are named by what the node answered. So the player keeps
a map from recorded task names to the lab's, waits where the recorded client had waited, and logs in as the
recorded client did (the label says so). Compared are status, reason phrase, error texts and the keys of what
was answered; not values that a machine decides.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from slipway.lab.access.actors import VM_PRIVILEGES
from slipway.lab.faults import NeverStops, TaskHangs
from slipway.lab.node import Lab
from slipway.lab.schema.calls import CALLS
from support.lab import ended, ssh_client, trust, until

UPID = re.compile(r"UPID:pve1:[0-9A-F]{8}:[0-9A-F]{8}:[0-9A-F]{8}:\w+:\w*:[^:\s\"/]+:")
PREFIX = "/api2/json"
_CALLS = [re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(call))) for call in CALLS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One recorded exchange."""

    number: int
    label: str
    method: str
    path: str
    given: Mapping[str, Any]
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
        kept = json.loads(line)
        yield Exchange(
            number=number,
            label=kept["label"],
            method=kept["method"],
            path=kept["path"].removeprefix(PREFIX).replace("%3A", ":").replace("%40", "@"),
            given=kept["data"] or {},
            status=kept["status"],
            reason=kept["reason"],
            body=kept["body"],
        )


ASIDE = {
    **dict.fromkeys(range(101, 116), "the recorded client ran into its own creation, still under way"),
    162: "asks for a task of a call that is not in use",
    231: "needs a node that cannot send mail",
    **dict.fromkeys((224, 225, 226), "needs a template, which the lab cannot make"),
    398: "shows averages of times at which the lab's guest was there and the recorded one was not",
    90: "asks for a task from before the recording",
    91: "asks for a task from before the recording",
}
"""Exchanges that are not played, and why; besides those of calls that are not in use."""
MAY_ADD = {"tokenid", "inet"}
"""The recording is of root's tasks and of a guest without an address."""


class Player:
    """Plays exchanges to a lab."""

    def __init__(self, lab: Lab, acl: dict[str, frozenset[str]]) -> None:
        self._lab = lab
        self._acl = acl
        self._upids: dict[str, str] = {}
        self._ticket = ""
        self._csrf = ""

    async def play(self, client: httpx.AsyncClient, exchange: Exchange) -> list[str]:
        """Send one request; give what differs from the recorded answer."""
        return self._compare(exchange, await self._send(client, exchange))

    async def race(self, client: httpx.AsyncClient, exchanges: list[Exchange]) -> list[str]:
        """Send requests at once; which of them wins is open."""
        answers = await asyncio.gather(*(self._send(client, exchange) for exchange in exchanges))
        in_order = sorted(answers, key=lambda answer: answer.status_code)
        pairs = zip(sorted(exchanges, key=lambda exchange: exchange.status), in_order, strict=True)
        return [one for exchange, answer in pairs for one in self._compare(exchange, answer)]

    def _compare(self, exchange: Exchange, answer: httpx.Response) -> list[str]:
        body: Any = answer.text
        if answer.text.startswith("{"):
            body = answer.json()
        self._remember(exchange.body, body)
        differing = [*self._differing_head(exchange, answer), *differences(exchange.body, body)]
        return [f"#{exchange.number} {exchange.call}: {one}" for one in differing]

    async def _send(self, client: httpx.AsyncClient, exchange: Exchange) -> httpx.Response:
        path = UPID.sub(lambda match: self._upids.get(match[0], match[0]), exchange.path)
        if path.endswith("/status") and "stopped" in json.dumps(exchange.body) and path != exchange.path:
            await ended(await self._root(client), path.split("/")[-2])
        given = {
            key: self._lab.root_password if value == "<masked>" else value
            for key, value in exchange.given.items()
        }
        if exchange.label == "renew w ticket as password":
            given["password"] = self._ticket
        elif exchange.label == "short pw":
            given["password"] = "abc"
        await self._root(client)
        headers = self._headers(exchange)
        in_query = exchange.method in ("GET", "DELETE")
        url = path if "?" in path or not in_query else f"{path}?{httpx.QueryParams(given)}"
        return await client.request(exchange.method, url, data=None if in_query else given, headers=headers)

    async def _root(self, client: httpx.AsyncClient) -> httpx.AsyncClient:
        if not self._ticket:
            login = {"username": "root@pam", "password": self._lab.root_password}
            given = (await client.post("/access/ticket", data=login)).json()["data"]
            self._ticket, self._csrf = given["ticket"], given["CSRFPreventionToken"]
        client.headers["Cookie"] = f"PVEAuthCookie={self._ticket}"
        client.headers["CSRFPreventionToken"] = self._csrf
        return client

    def _headers(self, exchange: Exchange) -> dict[str, str]:
        nobody = {"Cookie": "", "CSRFPreventionToken": ""}
        token = f"PVEAPIToken={self._lab.token_id}={self._lab.token_secret}"
        special = {
            "no auth": nobody,
            "root no auth": nobody,
            "bad ticket": nobody | {"Cookie": "PVEAuthCookie=PVE:root@pam:00000000::nonsense"},
            "POST w/o csrf": {"CSRFPreventionToken": ""},
            "POST bad csrf": {"CSRFPreventionToken": "00000000:nonsense"},
            "auth header ticket": nobody | {"Authorization": f"PVEAuthCookie={self._ticket}"},
            "bad secret": nobody | {"Authorization": f"{token}0"},
            "bad tokid": nobody | {"Authorization": "PVEAPIToken=nobody@pve!no=x"},
            "garbage tok": nobody | {"Authorization": "PVEAPIToken=garbage"},
            "colon sep": nobody | {"Authorization": token.replace("=", ":")},
        }
        if exchange.label.startswith("tok "):
            self._grant(exchange.number)
            return nobody | {"Authorization": token}
        return special.get(exchange.label, {})

    def _grant(self, number: int) -> None:
        """Give the token what it had been given by then."""
        self._acl.clear()
        if number >= 84:
            self._acl["/"] = VM_PRIVILEGES
        if number >= 86:
            self._acl["/"] = VM_PRIVILEGES | {
                "Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.Audit", "SDN.Use", "Sys.Audit"
            }  # fmt: skip

    def _remember(self, recorded: Any, body: Any) -> None:
        pairs = zip(UPID.findall(json.dumps(recorded)), UPID.findall(json.dumps(body)), strict=False)
        if isinstance(recorded, dict) and isinstance(recorded.get("data"), str):
            self._upids |= dict(pairs)

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
    shapes = [set(row) for row in recorded]
    for row in answered:
        known = named.get(_name(row))
        if known is not None and _name(row) is not None and _is_seen(known) == _is_seen(row):
            yield from differences(known, row, f"{at}[{_name(row)}]")
        elif shapes and _name(row) is None and set(row) - MAY_ADD not in shapes:
            nearest = min(shapes, key=lambda keys: len(keys ^ set(row)))
            yield f"{at} row adds {sorted(set(row) - nearest)} lacks {sorted(nearest - set(row))}"


def _is_seen(row: dict[str, Any]) -> bool:
    """Whether the node had looked at it: how soon it does is no matter of form."""
    return row.get("status") != "unknown"


def _name(row: dict[str, Any]) -> str | None:
    """Tell what a row is about; tasks and times are about themselves."""
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


async def interlude(lab: Lab, number: int) -> None:
    """Do what happened to the recorded node besides the requests."""
    match number:
        case 144:
            await _until_running(lab, 171)
        case 207 | 217:
            async with ssh_client(lab) as root:
                await root.run("pct unlock 100", check=True)
        case 233:
            await _until_unlocked(lab, 100)
        case 237:
            lab.faults.order(TaskHangs(task="vzcreate", seconds=0.3))
        case 246:
            lab.faults.order(TaskHangs(task="vzstart", seconds=0.5))
        case 268 | 298:
            lab.faults.order(TaskHangs(task="vzcreate", seconds=1.5))
        case 276 | 289:
            lab.faults.order(NeverStops(vmid=200))
        case 287 | 291:
            lab.faults.clear()
        case _:
            pass


async def _until_running(lab: Lab, vmid: int) -> None:
    """Wait for the start that a creation with `start=1` left to a task of its own."""
    async with ssh_client(lab) as root:

        async def is_running() -> bool:
            return "running" in str((await root.run(f"pct status {vmid}")).stdout)

        await until(is_running)


async def _until_unlocked(lab: Lab, vmid: int) -> None:
    """Wait for the end of a backup, whose own end is not played."""
    async with ssh_client(lab) as root:

        async def is_unlocked() -> bool:
            return "lock:" not in str((await root.run(f"pct config {vmid}")).stdout)

        await until(is_unlocked)


def is_played(exchange: Exchange) -> bool:
    """Whether the lab knows the call, and the exchange stands for itself."""
    is_known = any(pattern.fullmatch(exchange.call) for pattern in _CALLS)
    return (is_known or exchange.status == 501) and exchange.number not in ASIDE


async def prepare(lab: Lab, client: httpx.AsyncClient) -> None:
    """Bring the lab to where the recording begins: an OS template and container 100."""
    template = "debian-12-standard_12.12-1_amd64.tar.zst"
    given = {"storage": "local", "template": template}
    upid = (await client.post("/nodes/pve1/aplinfo", data=given)).json()["data"]
    assert await ended(client, upid) == "OK"
    options = {
        "vmid": 100, "ostemplate": f"local:vztmpl/{template}", "rootfs": "local:2", "hostname": "ct1",
        "memory": 512, "swap": 0, "cores": 1, "tags": "a;b", "description": "hello", "features": "nesting=1",
        "net0": "name=eth0,bridge=vmbr0,gw=10.231.17.1,ip=10.231.17.50/24",
    }  # fmt: skip
    upid = (await client.post("/nodes/pve1/lxc", data=options)).json()["data"]
    assert await ended(client, upid) == "OK"

    async def is_seen() -> bool:
        return "unknown" not in (await client.get("/cluster/resources?type=vm")).text

    await until(is_seen)


def open_client(lab: Lab) -> httpx.AsyncClient:
    """Open a client that brings no login of its own."""
    return httpx.AsyncClient(base_url=f"{lab.endpoint}{PREFIX}", verify=trust(lab), timeout=60)
