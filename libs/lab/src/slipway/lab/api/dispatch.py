"""From a request to an answer, in the order in which pveproxy decides.

Who asks (401), what is asked for (501), whether a token may (403), the rights (403), the node (500), the
parameters (400, all at once), then the handler. Ordered faults come after the login, around the handler.
"""

import asyncio
import inspect
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from slipway.lab.access.actors import Actor, root
from slipway.lab.access.tickets import Doorkeeper
from slipway.lab.api import rows
from slipway.lab.api.call import Call, Listed, Route
from slipway.lab.api.orders import LAB, Orders
from slipway.lab.api.routes import ROUTES
from slipway.lab.faults import ApiError, LostAnswer, SlowAnswer
from slipway.lab.guests.protocol import GuestError
from slipway.lab.host.condition import unanswered
from slipway.lab.host.machine import Machine
from slipway.lab.host.observe import Observer
from slipway.lab.http.messages import Answer, Request, as_answer, as_refusal
from slipway.lab.problems import Refused, bad_parameters
from slipway.lab.schema import formats
from slipway.lab.schema.calls import CALLS
from slipway.lab.schema.parameters import check

log = logging.getLogger(__name__)
ROOT = "/api2/json"
METHODS = ("GET", "POST", "PUT", "DELETE")
UNAUTHORIZED = 401
_PROXY_ERRORS = range(595, 600)
_NOBODY = Actor(user="nobody@pam", token=None, acl={})


class Api:
    """The application behind the front."""

    def __init__(self, machine: Machine, observers: Mapping[str, Observer], doorkeeper: Doorkeeper) -> None:
        """Answer as one node of its cluster, for all of them."""
        self._machine = machine
        self._observers = observers
        self._doorkeeper = doorkeeper
        self._orders = Orders(machine, doorkeeper)
        self._patterns = [(re.compile(_pattern(key)), key) for key in ROUTES]

    async def __call__(self, request: Request) -> Answer:
        """Answer a request; whatever happens there is an answer."""
        try:
            if request.path.startswith(LAB):
                return self._orders.answer(request)
            if not request.path.startswith(ROOT):
                return Answer(status=404, reason=f"no such file '{request.path}'", body=None)
            return await self._answer(request)
        except Refused as refused:
            if refused.status == UNAUTHORIZED:
                await asyncio.sleep(self._machine.timings.auth_delay)
            return as_refusal(refused)
        except GuestError as error:
            return as_refusal(Refused(str(error)))
        except Exception as error:  # a fault of the lab's own: say so instead of hanging up
            log.exception("handler failed: %s %s", request.method, request.path)
            return as_refusal(Refused(f"the lab failed: {error!r}"))

    async def _answer(self, request: Request) -> Answer:
        if request.method not in METHODS:
            raise Refused(f"method '{request.method}' not available", status=501, is_empty=True)
        method, path = request.method, unquote(request.path.removeprefix(ROOT)) or "/"
        key, in_path = self._find(method, path)
        route = ROUTES.get(key)
        is_open = route is not None and route.is_open
        actor = _NOBODY if is_open else self._doorkeeper.identify(request)
        actor = replace(actor, pool_of=self._machine.pools.of_guest)
        if order := self._machine.faults.take_call(ApiError, method, path):
            refused = Refused(order.message, status=order.status, is_empty=order.status in _PROXY_ERRORS)
            return as_refusal(refused)
        params = in_path | request.parameters()
        if route is None:
            raise Refused(f"Method '{method} {path}' not implemented", status=501)
        self._check_rights(route, actor, params, request.path)
        return await self._meet(method, path, await self._checked(key, route, actor, params, path))

    async def as_root(self, method: str, path: str, parameters: Mapping[str, str]) -> Any:
        """Return what root's own programs on the node get, past pveproxy.

        Raises:
            Refused: as Proxmox refuses it.
        """
        key, in_path = self._find(method, path)
        route = ROUTES.get(key)
        if route is None:
            raise Refused(f"No '{method.lower()}' handler defined for '{path}'")
        answer = await self._checked(key, route, root(), {**in_path, **parameters}, path)
        return json.loads(answer.body or b"{}").get("data")

    async def end_of(self, upid: str) -> tuple[list[str], str]:
        """Wait for a task of this node; return its log and how it ended."""
        status = await self._machine.tasks.end_of(upid)
        return self._machine.tasks.log_of(upid), status

    async def _checked(
        self, key: str, route: Route, actor: Actor, params: Mapping[str, str], path: str
    ) -> Answer:
        machine = await self._node(params)
        if errors := check(CALLS[key], params):
            raise bad_parameters(errors)
        call = Call(
            machine=machine,
            observers=self._observers,
            doorkeeper=self._doorkeeper,
            actor=actor,
            params=params,
        )
        return await self._handled(route, call, path)

    async def _meet(self, method: str, path: str, answer: Answer) -> Answer:
        if slow := self._machine.faults.take_call(SlowAnswer, method, path):
            if slow.seconds is None:
                await asyncio.sleep(self._machine.timings.proxy_timeout)
                raise unanswered()
            await asyncio.sleep(slow.seconds)
        if self._machine.faults.take_call(LostAnswer, method, path):
            answer.is_lost = True
        return answer

    async def _handled(self, route: Route, call: Call, path: str) -> Answer:
        result: Any = route.handler(call)
        if inspect.isawaitable(result):
            result = await result
        if isinstance(result, Answer):
            return result
        is_listed = isinstance(result, Listed)
        rows_or_object = result.rows if is_listed else result
        shown = rows.ordered(self._machine.faults, path, call.actor, call.params, rows_or_object)
        # A total of nothing is left out (PVE 9.2, recorded).
        return as_answer(shown, **({"total": result.total} if is_listed and result.total else {}))

    def _find(self, method: str, path: str) -> tuple[str, dict[str, str]]:
        for pattern, key in self._patterns:
            if match := pattern.fullmatch(f"{method} {path.rstrip('/') or '/'}"):
                return key, match.groupdict()
        return "", {}

    def _check_rights(self, route: Route, actor: Actor, params: Mapping[str, str], path: str) -> None:
        if actor.token and not route.allows_token:
            raise Refused(f"URI '{path}' not available with API token, need proper ticket.", status=403)
        if route.path is None:
            return
        try:
            where = route.path.format_map(params)
        except KeyError:  # a parameter is missing, which is only said to those who may everything
            where = "/"
        if route.any_right:
            actor.require_any(where, route.rights)
        else:
            actor.require(where, *route.rights)

    async def _node(self, params: Mapping[str, str]) -> Machine:
        """Find the node that is asked; the call is passed on to it, if it is there."""
        node = params.get("node")
        if node in (None, self._machine.node, "localhost"):
            return self._machine
        if member := self._machine.members.get(str(node)):
            if silence := member.condition.silence():
                seconds, refused = silence
                await asyncio.sleep(seconds)
                raise refused
            return member
        reason = "Name or service not known"
        if not formats.fault("pve-node", str(node)):
            await asyncio.sleep(self._machine.timings.lookup_wait)
            reason = "Temporary failure in name resolution"
        raise Refused(f"hostname lookup '{node}' failed - failed to get address info for: {node}: {reason}")


def _pattern(key: str) -> str:
    """Write a call as a pattern; a volume's name has slashes in it."""
    whole = re.escape(key).replace(r"\{volume\}", "(?P<volume>.+)")
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", whole)
