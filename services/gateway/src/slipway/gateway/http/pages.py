"""The web page's files: served without a session, since they hold no data; their requests need one."""

import json
from functools import cache
from http import HTTPStatus
from mimetypes import guess_type
from pathlib import Path

from slipway.contracts.job_kinds import KINDS
from slipway.gateway.http.problems import ProblemResponse, not_allowed, not_found
from slipway.runtime.process.health import Receive, Scope, Send

WEB = Path(__file__).resolve().parents[1] / "web"
_POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
_COMMON = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
]
_ASSETS = "/assets/"
_JOB_KINDS = f"{_ASSETS}job-kinds.js"
_READING = {"GET", "HEAD"}


class Pages:
    """Serves the files of `web/`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a file, or with a problem."""
        content = self._content(scope["path"])
        if content is None and _is_for_people(scope):
            page = _from_below((WEB / "index.html").read_bytes(), scope["path"])
            await _reply(send, scope, "index.html", page, HTTPStatus.NOT_FOUND)
        elif content is None:
            await ProblemResponse(not_found(), HTTPStatus.NOT_FOUND)(scope, receive, send)
        elif scope["method"] not in _READING:
            await not_allowed("GET, HEAD")(scope, receive, send)
        else:
            await _reply(send, scope, *content)

    def _content(self, path: str) -> tuple[str, bytes] | None:
        if path == _JOB_KINDS:
            return Path(path).name, job_kinds()
        name = "index.html" if path == "/" else path.removeprefix(_ASSETS) if path.startswith(_ASSETS) else ""
        try:
            file = (WEB / name).resolve()
            if not name or not file.is_relative_to(WEB):
                return None
            return file.name, file.read_bytes()
        except (OSError, ValueError):
            # No such file, a folder, or a name that no file can have.
            return None


@cache
def job_kinds() -> bytes:
    """Return the script that has what the page shows of job kinds, made from their registry."""
    kinds = {
        spec.kind: {"label": spec.label, "creates": spec.creates_container, "destroys": spec.loss is not None}
        for spec in KINDS.values()
    }
    text = "/** @type {Record<string, {label: string, creates: boolean, destroys: boolean}>} */"
    return f"{text}\nexport const KINDS = {json.dumps(kinds, indent=2)};\n".encode()


def _is_for_people(scope: Scope) -> bool:
    """Whether somebody looks for a page in a browser: it then says itself that there is none."""
    is_page = scope["method"] in _READING and not scope["path"].startswith(_ASSETS)
    return is_page and b"text/html" in dict(scope["headers"]).get(b"accept", b"")


def _from_below(page: bytes, path: str) -> bytes:
    """Return the page as it is for a path below its own: its links are relative, wherever a proxy has it."""
    return page.replace(b'"./', b'"' + b"../" * (path.count("/") - 1) + b"./")


async def _reply(
    send: Send, scope: Scope, name: str, content: bytes, status: HTTPStatus = HTTPStatus.OK
) -> None:
    kind = guess_type(name)[0] or "application/octet-stream"
    headers = [
        (b"content-type", kind.encode()),
        (b"cache-control", b"no-store" if name.endswith(".html") else b"no-cache"),
        (b"content-length", str(len(content)).encode()),
        *_COMMON,
    ]
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})
