"""Checks of every request: its correlation id, its actor, and the size and the time of its body."""

import asyncio
import re
from collections.abc import MutableMapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException

from slipway.contracts.problems import FieldError, Invalid, SlipwayError
from slipway.gateway.http.problems import ProblemResponse, unforeseen
from slipway.gateway.identity.auth import Auth, headers_of
from slipway.runtime.bus.call import Call, using
from slipway.runtime.errors import problem_of
from slipway.runtime.process.health import Asgi, Receive, Scope, Send
from slipway.runtime.process.ids import new_id

MOST_BYTES = 1024 * 1024
NOBODY = "nobody"
OPEN_PATHS = {("POST", "/api/v1/session")}
"""The paths that need no token: signing in."""
_SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class TooMuch(HTTPException):
    """The body is larger than a request may be; an `HTTPException`, since FastAPI lets only those through."""

    def __init__(self) -> None:
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request may have {MOST_BYTES // 1024} KiB.")


class TooSlow(HTTPException):
    """The body did not come in time; an `HTTPException` for the same reason."""

    def __init__(self) -> None:
        super().__init__(HTTPStatus.REQUEST_TIMEOUT, headers={"Connection": "close"})


class Gate:
    """Lets requests through to the API."""

    def __init__(self, behind: Asgi, auth: Auth, body_within: timedelta) -> None:
        self._behind = behind
        self._auth = auth
        self._body_within = body_within

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on behalf of its actor."""
        headers = headers_of(scope["headers"])
        value = headers.get(b"x-correlation-id", b"").decode("latin-1")
        correlation = value if _SANE.fullmatch(value) else new_id()
        sending = _Sending(send, correlation)
        with using(Call(actor=NOBODY, correlation_id=correlation)):
            try:
                await self._pass(scope, _Receiving(receive, headers, self._body_within), sending, headers)
            except Exception as error:  # noqa: BLE001 - the outermost place of a request
                is_bug = not isinstance(error, SlipwayError)
                problem = unforeseen(error) if is_bug else ProblemResponse(problem_of(error))
                # What has begun can't be taken back: the connection ends, and the client sees that it is cut.
                if not sending.has_begun:
                    await problem(scope, receive, sending)

    async def _pass(
        self, scope: Scope, receive: Receive, send: "_Sending", headers: dict[bytes, bytes]
    ) -> None:
        trace = headers.get(b"traceparent", b"").decode("latin-1")
        call = Call(
            actor=await self._actor(scope, headers),
            correlation_id=send.correlation,
            idempotency_key=_idempotency_key(headers),
            confirms_self=_confirms_self(headers),
            traceparent=trace if _TRACE.fullmatch(trace) else None,
        )
        scope["actor"] = call.actor
        with using(call):
            await self._behind(scope, receive, send)

    async def _actor(self, scope: Scope, headers: dict[bytes, bytes]) -> str:
        if not scope["path"].startswith("/api/") or (scope["method"], scope["path"]) in OPEN_PATHS:
            return NOBODY
        return await self._auth.actor(scope["method"], headers)


class _Sending:
    """Sends an answer with its correlation id; a browser may not guess another content type."""

    def __init__(self, send: Send, correlation: str) -> None:
        self._send = send
        self.correlation = correlation
        self.has_begun = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            own = [(b"x-correlation-id", self.correlation.encode()), (b"x-content-type-options", b"nosniff")]
            message = {**message, "headers": [*message.get("headers", []), *own]}
        await self._send(message)


class _Receiving:
    """Receives a body that is not too large, and comes in time."""

    def __init__(self, receive: Receive, headers: dict[bytes, bytes], within: timedelta) -> None:
        self._receive = receive
        declared = headers.get(b"content-length", b"0")
        self._is_too_large = declared.isdigit() and int(declared) > MOST_BYTES
        self._got = 0
        self._until = asyncio.get_running_loop().time() + within.total_seconds()
        self._is_whole = False

    async def __call__(self) -> MutableMapping[str, Any]:
        if self._is_too_large:
            raise TooMuch
        try:
            # After the body nothing comes but the client's going away, whenever that is.
            async with asyncio.timeout_at(None if self._is_whole else self._until):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow from None
        self._is_whole = not message.get("more_body", False)
        self._got += len(message.get("body", b""))
        if self._got > MOST_BYTES:
            raise TooMuch
        return message


def _idempotency_key(headers: dict[bytes, bytes]) -> str | None:
    value = headers.get(b"idempotency-key")
    if value is None:
        return None
    key = value.decode("latin-1")
    if not _SANE.fullmatch(key):
        message = "An Idempotency-Key is 1 to 128 letters, digits and . _ : -"
        raise Invalid(message, errors=[FieldError(field="Idempotency-Key", message=message)])
    return key


def _confirms_self(headers: dict[bytes, bytes]) -> bool:
    value = headers.get(b"slipway-confirm")
    if value not in {None, b"self"}:
        message = "Slipway-Confirm is `self` or not sent at all."
        raise Invalid(message, errors=[FieldError(field="Slipway-Confirm", message=message)])
    return value is not None
