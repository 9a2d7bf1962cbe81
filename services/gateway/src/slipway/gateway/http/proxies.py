"""What is in front of the gateway: proxies that are believed, and the address and path that people use.

In a request's scope it sets `client` and `scheme` as the client has them, and `prefix`: the path in front of
ours, for the session's cookie. Paths come with the prefix or without it, as a proxy passes them on; within
the gateway they are without. A `Location` is given the prefix here.
"""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from slipway.gateway.http.forwarded import Network, is_trusted, origin_of
from slipway.runtime.process.health import Asgi, Receive, Scope, Send

_LOCATION = b"location"
_PORTS = {"https": ":443", "http": ":80"}


class Proxies:
    """Goes around everything that the gateway serves."""

    def __init__(self, app: Asgi, *, trusted: Sequence[Network], public_url: str) -> None:
        self._app = app
        self._trusted = trusted
        parts = urlsplit(public_url)
        self._path = parts.path.rstrip("/")
        self._is_public_https = parts.scheme == "https"
        self._is_alone = not trusted and not public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on as it was before the proxies."""
        if scope["type"] != "http" or self._is_alone:
            await self._app(scope, receive, send)
            return
        peer = scope["client"][0] if scope.get("client") else ""
        origin = origin_of(peer, _joined(scope["headers"]), self._trusted)
        scope = {**scope, "client": (origin.client, 0)}
        if origin.scheme is not None or self._is_public_https:
            scope["scheme"] = "https" if self._is_public_https else origin.scheme
        path = scope["path"]
        if self._path and path == self._path:
            await _redirect(f"{path}/", send)
            return
        has_path = bool(self._path) and path.startswith(f"{self._path}/")
        if has_path:
            scope |= {"path": path.removeprefix(self._path)}
        is_proxied = not self._trusted or is_trusted(peer, self._trusted)
        prefix = self._path if has_path or (is_proxied and self._path) else origin.prefix
        scope["prefix"] = prefix
        await self._app(scope, receive, _Relocating(send, prefix) if prefix else send)


def origin_of_url(url: str) -> str:
    """Return a URL's origin as browsers write it: without the port that its scheme has anyway."""
    parts = urlsplit(url.lower())
    return f"{parts.scheme}://{parts.netloc.removesuffix(_PORTS[parts.scheme])}"


class _Relocating:
    """Sends an answer whose `Location` begins with the prefix."""

    def __init__(self, send: Send, prefix: str) -> None:
        self._send = send
        self._prefix = prefix.encode()

    async def __call__(self, message: Scope) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [self._moved(*each) for each in message.get("headers", [])]}
        await self._send(message)

    def _moved(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        is_ours = name.lower() == _LOCATION and value.startswith(b"/")
        return name, self._prefix + value if is_ours else value


async def _redirect(path: str, send: Send) -> None:
    headers = [(_LOCATION, path.encode()), (b"content-length", b"0")]
    await send(
        {"type": "http.response.start", "status": int(HTTPStatus.PERMANENT_REDIRECT), "headers": headers}
    )
    await send({"type": "http.response.body", "body": b""})


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers by name; those that come several times as one list, as HTTP reads them."""
    joined: dict[bytes, bytes] = {}
    for name, value in headers:
        joined[name] = joined[name] + b", " + value if name in joined else value
    return joined
