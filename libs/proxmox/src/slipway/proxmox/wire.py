"""One thread's side of the HTTPS API: a session, a request, an answer or a typed error.

Synchronous and not thread-safe on purpose; `connection` gives each of its threads one `Wire`. Every exception
of proxmoxer, requests and urllib3 ends here.

Guarantees: a request that changes something (POST, PUT, DELETE) is sent at most once. If it certainly had no
effect the error says so; if that is unknown, the error is `AnswerLost`. The one repetition is after a 401 for
an old ticket, where the node itself says that it did nothing. A question (GET) is asked a second time when
the connection broke. Proxmox closes an idle connection after 5 s (PVE 9.2, observed), and a request sent just
then would be lost: connections idle for 3 s are not used again.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from proxmoxer import ProxmoxResource, ResourceException
from proxmoxer.backends.https import JsonSerializer, ProxmoxHTTPAuthBase, ProxmoxHttpSession
from pydantic import SecretStr
from urllib3.exceptions import NewConnectionError

from slipway.contracts.problems import SlipwayError
from slipway.proxmox import record
from slipway.proxmox.access import ApiAccess
from slipway.proxmox.auth import TicketAuth
from slipway.proxmox.error_mapping import Refusal, answer_lost, sort_refusal
from slipway.proxmox.errors import (
    AccessRefused,
    AnswerLost,
    CertificateMismatch,
    EndpointUnreachable,
    NoAnswer,
    ProxmoxFailed,
)
from slipway.proxmox.tls import NotPinnedError, not_pinned, not_signed, pinned_session

IDLE_SECONDS = 3.0

Params = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A success: the envelope's data, and its total where there is one."""

    data: Any
    total: int | None = None
    path: str = "/"
    """What was asked: `/nodes/pve1/storage`."""


class Envelope(JsonSerializer):  # type: ignore[misc]  # proxmoxer ships no types
    """Reads whole bodies: proxmoxer's own drops `total`, and the `message` that says what went wrong."""

    def loads(self, response: requests.Response) -> Reply | None:
        """Read a success; None when it is not Proxmox that answers."""
        body = _parsed(response)
        if body is None or "data" not in body:
            return None
        return Reply(data=body["data"], total=_number(body.get("total")))

    def loads_errors(self, response: requests.Response) -> Mapping[str, Any]:
        """Read a refusal: the whole body, if there is one (a 401 has none)."""
        return _parsed(response) or {}


class Wire:
    """A session with its one keep-alive connection."""

    def __init__(self, access: ApiAccess, *, auth: ProxmoxHTTPAuthBase, record_to: Path | None) -> None:
        session = _Session()
        session.auth = auth
        session.headers.update({"Connection": "keep-alive", "Accept": "application/json"})
        self._access = access
        self._auth = auth
        self._session = session
        self._adapter = pinned_session(session, access)
        self._root = ProxmoxResource(base_url=access.base_url, session=session, serializer=Envelope())
        self._record_to = record_to
        self._used = time.monotonic()

    def request(
        self, method: str, segments: tuple[str, ...], params: Params, *, within_seconds: float | None = None
    ) -> Reply:
        """Send one request and read its answer.

        Args:
            method: GET, POST, PUT or DELETE.
            segments: The parts of the path.
            params: What is sent.
            within_seconds: How long connection and answer may take each, if that is less than usual.
        """
        began = time.monotonic()
        self._session.within_seconds = within_seconds
        try:
            return self._attempt(method, segments, params)
        except AccessRefused:
            if not (isinstance(self._auth, TicketAuth) and self._auth.drop_ticket(began)):
                raise
        except _Broken as broken:
            if method != "GET":
                raise _lost(method, path_of(segments), broken.__cause__) from broken.__cause__
        return self._last_attempt(method, segments, params)

    def close(self) -> None:
        """Drop the connection."""
        self._adapter.close()

    def _last_attempt(self, method: str, segments: tuple[str, ...], params: Params) -> Reply:
        try:
            return self._attempt(method, segments, params)
        except _Broken as broken:
            raise _lost(method, path_of(segments), broken.__cause__) from broken.__cause__

    def _attempt(self, method: str, segments: tuple[str, ...], params: Params) -> Reply:
        if time.monotonic() - self._used > IDLE_SECONDS:
            self._adapter.close()
        began = time.monotonic()
        status: int | None = None
        sent = {name: _written(value) for name, value in params.items() if value is not None}
        try:
            reply = self._send(method, segments, sent)
            status = requests.codes.ok
        except ResourceException as error:
            status = int(error.status_code)
            raise sort_refusal(_refusal(method, segments, error)) from error
        except requests.RequestException as error:
            raise _translated(error, method, path_of(segments), self._access) from error
        finally:
            self._used = time.monotonic()
            self._write_down(method, segments, sent, status, self._used - began)
        return reply

    def _send(self, method: str, segments: tuple[str, ...], params: dict[str, str | int | float]) -> Reply:
        resource = self._root("/".join(_quoted(segment) for segment in segments))
        verbs: dict[str, Callable[..., Reply | None]] = {
            "GET": resource.get,
            "POST": resource.post,
            "PUT": resource.put,
            "DELETE": resource.delete,
        }
        reply = verbs[method](**params)
        if reply is None:
            raise ProxmoxFailed(
                "Something answers there, but it is not the Proxmox API.", path=path_of(segments)
            )
        return replace(reply, path=path_of(segments))

    def _write_down(
        self,
        method: str,
        segments: tuple[str, ...],
        params: Mapping[str, object],
        status: int | None,
        took: float,
    ) -> None:
        if self._record_to is not None:
            path = path_of(segments)
            record.append(
                self._record_to, method=method, path=path, params=params, status=status, ms=took * 1000
            )


class _Session(ProxmoxHttpSession):  # type: ignore[misc]  # proxmoxer ships no types
    """A session whose next request may be given less time than usual."""

    within_seconds: float | None = None

    def request(self, *args: Any, **options: Any) -> requests.Response:
        if self.within_seconds is not None:
            options["timeout"] = tuple(min(usual, self.within_seconds) for usual in self.auth.timeout)
        response: requests.Response = super().request(*args, **options)
        return response


def login(
    access: ApiAccess, *, timeout: tuple[float, float], record_to: Path | None
) -> Callable[..., tuple[str, str]]:
    """How `TicketAuth` logs in: over a pinned connection of its own, with the errors of any other request."""

    def post(username: str, password: SecretStr) -> tuple[str, str]:
        auth = ProxmoxHTTPAuthBase(timeout=timeout, verify_ssl=True)
        wire = Wire(access, auth=auth, record_to=record_to)
        params = {"username": username, "password": password.get_secret_value()}
        try:
            answer = wire.request("POST", ("access", "ticket"), params).data
        except AnswerLost as error:
            # A login changes nothing: it may be done again, and elsewhere.
            raise EndpointUnreachable(f"The login was not answered: {error.message}") from error
        finally:
            wire.close()
        if not isinstance(answer, Mapping):
            raise ProxmoxFailed(
                "Something answers there, but it is not the Proxmox API.", path="/access/ticket"
            )
        if answer.get("NeedTFA"):
            raise AccessRefused("This user has a second factor; give Slipway an API token instead.")
        return str(answer.get("ticket")), str(answer.get("CSRFPreventionToken"))

    return post


def path_of(segments: tuple[str, ...]) -> str:
    """The API's path, as its documentation writes it."""
    return "/" + "/".join(segments)


class _Broken(Exception):
    """The connection broke when the request may have arrived; the cause says how."""


def _translated(error: requests.RequestException, method: str, path: str, access: ApiAccess) -> Exception:
    if isinstance(error, requests.exceptions.SSLError) and (mismatch := _mismatch(error, access)):
        return mismatch
    if isinstance(error, requests.exceptions.ConnectTimeout) or _was_never_sent(error):
        return EndpointUnreachable(f"No connection to Proxmox: {_deepest(error)}", path=path)
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return ProxmoxFailed("Something answers there, but it is not the Proxmox API.", path=path)
    if isinstance(error, requests.exceptions.ReadTimeout):
        return _lost(method, path, error)
    return _Broken()


def _lost(method: str, path: str, error: BaseException | None) -> SlipwayError:
    why = _deepest(error)
    if method == "GET":
        kind = NoAnswer if isinstance(error, requests.exceptions.ReadTimeout) else EndpointUnreachable
        return kind(f"Proxmox did not answer {path}: {why}", path=path)
    return answer_lost(method, path, why=why)


def _mismatch(error: requests.exceptions.SSLError, access: ApiAccess) -> CertificateMismatch | None:
    if (other := _inner(error, NotPinnedError)) is not None:
        return not_pinned(access, other.shown)
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "doesn't match" in text:
        return not_signed(access)
    return None


def _inner(error: BaseException | None, kind: type[NotPinnedError]) -> NotPinnedError | None:
    """Find the error of a kind behind those that urllib3 and requests made of it."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def _was_never_sent(error: requests.RequestException) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError)


def _deepest(error: BaseException | None) -> str:
    while error is not None and (inner := error.__cause__ or error.__context__):
        error = inner
    return f"{type(error).__name__}: {error}" if error else "no answer"


def _refusal(method: str, segments: tuple[str, ...], error: ResourceException) -> Refusal:
    body = error.errors or {}
    errors = body.get("errors")
    return Refusal(
        method=method,
        path=path_of(segments),
        status=int(error.status_code),
        reason=str(error.content or ""),
        message=str(body.get("message") or ""),
        errors={str(name): str(text) for name, text in errors.items()} if isinstance(errors, Mapping) else {},
    )


def _parsed(response: requests.Response) -> Mapping[str, Any] | None:
    try:
        body = json.loads(response.content)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _number(total: object) -> int | None:
    return int(total) if isinstance(total, int | float | str) and str(total).isdecimal() else None


def _quoted(segment: str) -> str:
    if segment in {"", ".", ".."}:
        raise ValueError(f"not a part of a path: {segment!r}")
    return quote(segment, safe="")


def _written(value: str | float | bool) -> str | int | float:  # noqa: FBT001 (a value to be written, not a switch)
    return int(value) if isinstance(value, bool) else value
