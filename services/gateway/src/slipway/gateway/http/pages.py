"""The web page's files: served to anyone, since they hold nothing; what they show needs a session."""

from mimetypes import guess_type
from pathlib import Path

from slipway.runtime.health import Receive, Scope, Send

WEB = Path(__file__).parents[1] / "web"
_POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
_COMMON = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_ASSETS = "/assets/"


class Pages:
    """Serves the files of one folder."""

    def __init__(self, folder: Path = WEB) -> None:
        self._folder = folder.resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a file, or with 404."""
        del receive
        file = self._file(scope["path"]) if scope["method"] in {"GET", "HEAD"} else None
        if file is None:
            await _reply(send, 404, b"text/plain", b"There is no such page.\n")
            return
        kind = guess_type(file.name)[0] or "application/octet-stream"
        body = b"" if scope["method"] == "HEAD" else file.read_bytes()
        await _reply(send, 200, kind.encode(), body)

    def _file(self, path: str) -> Path | None:
        name = "index.html" if path == "/" else path.removeprefix(_ASSETS) if path.startswith(_ASSETS) else ""
        file = (self._folder / name).resolve()
        return file if name and file.is_file() and file.is_relative_to(self._folder) else None


async def _reply(send: Send, status: int, kind: bytes, body: bytes) -> None:
    headers = [(b"content-type", kind), (b"cache-control", b"no-cache"), *_COMMON]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
