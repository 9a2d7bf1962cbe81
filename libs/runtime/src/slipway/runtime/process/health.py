"""`/livez`, `/readyz` and `/metrics` over HTTP, in front of a service's own pages if it has any.

Raw ASGI, so that a probe costs nothing and works while everything else is broken. `/readyz` names what is
missing, with 503: nothing can be done here without it. What only makes the service poorer (a bus that is
almost full, another service that is away) is named with 200: a service that is taken out or restarted because
of it could not even stop and delete what fills the bus. `/metrics` asks for a bearer token; without one set,
it answers on loopback only.
"""

import asyncio
import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.server import ServerState

from slipway.contracts.health import Health
from slipway.runtime.errors import problem_of
from slipway.runtime.process import metrics
from slipway.runtime.process.logs import get_logger
from slipway.runtime.process.settings import ServiceSettings
from slipway.runtime.process.slow_clients import watched
from slipway.runtime.retry import Deadline

if TYPE_CHECKING:
    # Only the gateway has a certificate; the others need not carry what reads one.
    from slipway.runtime.process.certificate import CertificateFiles

log = get_logger()

PING_SECONDS = 3.0
READY_FOR_SECONDS = 1.0
"""How long the answer "ready" of one check is given to all who ask."""
NOT_READY_FOR_SECONDS = 0.1
"""The same for what is missing: who waits for a start asks often."""
START_WAIT_SECONDS = 2.0
"""How long a request waits for a service that is only just starting."""
IDLE_SECONDS = 130
"""How long a connection may rest between two requests: longer than reverse proxies keep theirs (nginx 60 s,
Traefik 90 s, Caddy 120 s), because one that sends just when we close can't tell whether a change was made."""

_EARLY = "The service is starting; try again in a moment. /readyz shows what it waits for."
_STARTING = json.dumps(
    {
        "type": "urn:slipway:problem:service.starting",
        "title": "Service Unavailable",
        "status": 503,
        "code": "service.starting",
        "detail": _EARLY,
        "message": _EARLY,
    }
).encode()

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Ping = Callable[[], Awaitable[object]]
Shortages = Callable[[], Mapping[str, str]]
"""Returns the reasons of shortages by code or name, from memory; empty if there are none."""


class HealthApp:
    """The three pages; everything else goes to the application behind, if there is one."""

    def __init__(
        self,
        settings: ServiceSettings,
        pings: Mapping[str, Ping],
        *,
        behind: Asgi | None,
        shortages: Shortages = dict,
        is_public: bool = False,
    ) -> None:
        """Prepare the pages; `is_public` if they are served at more than `settings.http_host`."""
        self.stopping = False
        self._shortages = shortages
        self._pings = pings
        self._behind = behind
        self._is_local = _is_loopback(settings.http_host) and not is_public
        self._token_file = settings.metrics_token_file
        self._check: asyncio.Task[dict[str, str]] | None = None
        self._checked = Deadline(-1.0)
        """Until then the last check counts."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        pages = {"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._metrics}
        page = pages.get(scope.get("path", "")) if scope["type"] == "http" else None
        if page is not None:
            status, kind, body = await page(dict(scope["headers"]))
            await _reply(send, status, kind, body)
        elif self._behind is not None:
            await self._behind(scope, receive, send)
        elif scope["type"] == "http":
            await _reply(send, HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")

    async def health(self) -> Health:
        """Return what is missing and what is short, as `/readyz` does."""
        missing = {"service": "is stopping"} if self.stopping else await self._shared()
        return Health(missing=missing, degraded=self._shortages())

    async def missing(self) -> dict[str, str]:
        """Check everything the service needs; return the reasons of what does not answer."""
        names = list(self._pings)
        reasons = await asyncio.gather(*(self._ask(self._pings[name]) for name in names))
        return {name: reason for name, reason in zip(names, reasons, strict=True) if reason is not None}

    async def _ask(self, ping: Ping) -> str | None:
        try:
            async with asyncio.timeout(PING_SECONDS):
                await ping()
        except Exception as error:  # noqa: BLE001 - a ping may fail in any way; its failure is the answer
            return "does not answer in time" if isinstance(error, TimeoutError) else problem_of(error).message
        return None

    async def _livez(self, _headers: Mapping[bytes, bytes]) -> tuple[HTTPStatus, str, bytes]:
        return HTTPStatus.OK, "application/json", b'{"status":"alive"}'

    async def _shared(self) -> dict[str, str]:
        """Run one check for all concurrent requests: `/readyz` is open, and each check costs something."""
        if self._check is None or (self._check.done() and self._checked.has_passed):
            self._check = asyncio.create_task(self.missing())
            self._check.add_done_callback(self._note_check)
        return await asyncio.shield(self._check)

    def _note_check(self, check: "asyncio.Task[dict[str, str]]") -> None:
        is_ready = not check.cancelled() and check.exception() is None and not check.result()
        self._checked = Deadline(READY_FOR_SECONDS if is_ready else NOT_READY_FOR_SECONDS)

    async def _readyz(self, _headers: Mapping[bytes, bytes]) -> tuple[HTTPStatus, str, bytes]:
        health = await self.health()
        status = HTTPStatus.SERVICE_UNAVAILABLE if health.missing else HTTPStatus.OK
        state = "not ready" if health.missing else "degraded" if health.degraded else "ready"
        return status, "application/json", json.dumps({"status": state, **health.model_dump()}).encode()

    async def _metrics(self, headers: Mapping[bytes, bytes]) -> tuple[HTTPStatus, str, bytes]:
        if self._token_file is None and not self._is_local:
            reason = b"set SLIPWAY_METRICS_TOKEN_FILE to read metrics from other machines\n"
            return HTTPStatus.FORBIDDEN, "text/plain", reason
        if self._token_file is not None and not _has_token(headers, self._token_file):
            return HTTPStatus.UNAUTHORIZED, "text/plain", b"the bearer token is missing or wrong\n"
        return HTTPStatus.OK, metrics.CONTENT_TYPE, metrics.render()


class WhenReady:
    """Lets requests through once the service is ready.

    A request that comes earlier waits a little, as after a restart, and then gets 503.
    """

    def __init__(self, app: Asgi, ready: asyncio.Event) -> None:
        self._app = app
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on; answer 503 if the service does not get ready in time."""
        if not self._ready.is_set() and scope["type"] == "http":
            try:
                await asyncio.wait_for(self._ready.wait(), START_WAIT_SECONDS)
            except TimeoutError:
                await _reply(send, HTTPStatus.SERVICE_UNAVAILABLE, "application/problem+json", _STARTING)
                return
        await self._app(scope, receive, send)


@dataclass(frozen=True, slots=True, kw_only=True)
class Https:
    """Where a service listens with TLS, beside its plain port."""

    host: str
    port: int
    files: "CertificateFiles"


class HealthServer:
    """Serves an ASGI application in this process; signals stay the service's own business."""

    def __init__(self, app: Asgi, settings: ServiceSettings, *, https: Https | None = None) -> None:
        self._server = _QuietServer(
            uvicorn.Config(
                app if https is None else _with_headers(app, https.files.headers),
                host=settings.http_host if https is None else https.host,
                port=settings.http_port if https is None else https.port,
                ssl_context_factory=None if https is None else lambda *_: https.files.context,
                # Whom to believe about where a request came from is the application's matter.
                proxy_headers=False,
                http=watched(head_within=settings.request_timeout),
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=max(1, int(settings.graceful_timeout.total_seconds())),
            )
        )
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is really listened on."""
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen; raise `OSError` if the port is taken."""
        self._serving = asyncio.create_task(self._server.serve(), name="http")
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise OSError("the HTTP port can't be listened on")
            await asyncio.sleep(0.005)
        log.info("http ready", port=self.port, scheme="https" if self._server.config.is_ssl else "http")

    async def stop(self) -> None:
        """Accept no more requests and wait for those that run."""
        if self._serving is not None:
            self._server.end()
            await self._serving


class _State(ServerState):
    """Makes the `Date` of an answer when there is one; uvicorn's own is renewed ten times a second."""

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"date", formatdate(usegmt=True).encode())]

    @default_headers.setter
    def default_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        pass


class _QuietServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = _State()
        self._ending = asyncio.Event()

    def end(self) -> None:
        self.should_exit = True
        self._ending.set()

    async def main_loop(self) -> None:
        # uvicorn's own wakes ten times a second to see whether it shall end.
        await self._ending.wait()

    async def serve(self, sockets: list[Any] | None = None) -> None:
        # uvicorn would catch SIGTERM itself, and end the process when it can't listen.
        try:
            await self._serve(sockets)
        except SystemExit as error:
            raise OSError("the HTTP port can't be listened on") from error


def _with_headers(app: Asgi, headers: Callable[[], list[tuple[bytes, bytes]]]) -> Asgi:
    async def with_headers(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_more(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and (more := headers()):
                message = {**message, "headers": [*message.get("headers", []), *more]}
            await send(message)

        await app(scope, receive, send_more)

    return with_headers


async def _reply(send: Send, status: HTTPStatus, kind: str, body: bytes) -> None:
    headers = [(b"content-type", kind.encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _has_token(headers: Mapping[bytes, bytes], file: Path) -> bool:
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    try:
        token = file.read_bytes().strip()
    except OSError:
        log.exception("metrics token can't be read", file=str(file))
        return False
    return bool(token) and scheme.lower() == b"bearer" and hmac.compare_digest(value.strip(), token)
