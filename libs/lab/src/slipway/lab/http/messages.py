"""A request as the front read it, and the answer it is to write. No sockets here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from slipway.lab.problems import Refused

NOT_IMPLEMENTED = 501
NO_SUCH_CONTENT = 506
MALFORMED = "malformed JSON string, neither tag, array, object, number, string or atom,"
JSON = "application/json;charset=UTF-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path without query, still percent-encoded."""
        return urlsplit(self.target).path

    def parameters(self) -> dict[str, str]:
        """Query and body together, as texts; a JSON body's numbers and flags become texts too."""
        params = dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))
        if not self.body:
            return params
        if self.method not in ("POST", "PUT"):
            raise Refused(f"Unexpected content for method '{self.method}'", status=501)
        kind = self.headers.get("content-type", "").partition(";")[0].strip()
        if kind == "application/json":
            return _json_parameters(self.body) | params
        if kind not in ("", "application/x-www-form-urlencoded"):
            raise Refused(f"upload 'Content-Type '{kind}' not implemented", status=NO_SUCH_CONTENT)
        return dict(parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True)) | params

    def cookie(self, name: str) -> str | None:
        """Read a cookie; its value may be raw or percent-encoded (PVE 9.2, observed)."""
        for pair in self.headers.get("cookie", "").split(";"):
            key, separator, value = pair.strip().partition("=")
            if separator and key == name:
                return unquote(value)
        return None


def _json_parameters(body: bytes) -> dict[str, str]:
    try:
        content = json.loads(body)
    except ValueError as error:
        raise Refused(f"{MALFORMED} at character offset 0", status=NOT_IMPLEMENTED) from error
    if not isinstance(content, dict):
        raise Refused("Not a HASH reference", status=NOT_IMPLEMENTED)
    return {str(key): _as_text(value) for key, value in content.items() if value is not None}


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(slots=True, kw_only=True)
class Answer:
    """What to write back."""

    status: int = 200
    reason: str = "OK"
    body: bytes | None = b""
    """None leaves out `Content-Length` and type, as pveproxy's bare 401 does."""
    content_type: str | None = JSON
    is_lost: bool = False
    """Drop the connection instead of answering."""
    headers: dict[str, str] = field(default_factory=dict)


def as_answer(data: object, **beside: object) -> Answer:
    """Answer a call: its result under `data`, and what stands beside it (`total`)."""
    return Answer(body=json.dumps({"data": data, **beside}).encode())


def as_refusal(refused: Refused) -> Answer:
    """Answer with an error. The reason phrase is the message's first line (PVE 9.2, recorded)."""
    reason = refused.message.partition("\n")[0]
    if refused.is_empty:
        return Answer(status=refused.status, reason=reason, body=None)
    if refused.status == NO_SUCH_CONTENT:
        return Answer(status=refused.status, reason=reason, body=reason.encode(), content_type=None)
    is_plain = refused.status == NOT_IMPLEMENTED or refused.message.endswith("\n")
    content: dict[str, object] = {"data": None, "message": refused.message + ("" if is_plain else "\n")}
    if refused.errors is not None:
        content["errors"] = refused.errors
    return Answer(status=refused.status, reason=reason, body=json.dumps(content).encode())
