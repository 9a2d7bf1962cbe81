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
from collections import deque
from collections.abc import Callable, Iterator, Mapping
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
from slipway.proxmox.error_mapping import Refusal, answer_lost, refusal_error
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
        is_last = False
        while True:
            try:
                return self._attempt(method, segments, params)
            except AccessRefused:
                if is_last or not (isinstance(self._auth, TicketAuth) and self._auth.drop_ticket(began)):
                    raise
            except _Broken as broken:
                if is_last or method != "GET":
                    raise _lost(method, path_of(segments), broken.__cause__) from broken.__cause__
            is_last = True

    def close(self) -> None:
        """Drop the connection."""
        self._adapter.close()

    def _attempt(self, method: str, segments: tuple[str, ...], params: Params) -> Reply:
        if time.monotonic() - self._used > IDLE_SECONDS:
            self._adapter.close()
        path, began = path_of(segments), time.monotonic()
        status: int | None = None
        values = {name: value for name, value in params.items() if value is not None}
        sent = {name: int(value) if isinstance(value, bool) else value for name, value in values.items()}
        resource = self._root("/".join(_quoted(segment) for segment in segments))
        try:
            reply: Reply | None = getattr(resource, method.lower())(**sent)
            if reply is None:
                raise _not_proxmox(path)
            status = requests.codes.ok
        except ResourceException as error:
            status = int(error.status_code)
            raise refusal_error(_refusal(method, path, error)) from error
        except requests.RequestException as error:
            raise _translated(error, method, path, self._access) from error
        finally:
            self._used = time.monotonic()
            if self._record_to is not None:
                took_ms = (self._used - began) * 1000
                record.append(
                    self._record_to, method=method, path=path, params=sent, status=status, ms=took_ms
                )
        return replace(reply, path=path)


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
    """Return how `TicketAuth` logs in: over a pinned connection of its own, with a request's errors."""

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
            raise _not_proxmox("/access/ticket")
        if answer.get("NeedTFA"):
            raise AccessRefused("This user has a second factor; give Slipway an API token instead.")
        return str(answer.get("ticket")), str(answer.get("CSRFPreventionToken"))

    return post


def path_of(segments: tuple[str, ...]) -> str:
    """Return the API's path, as its documentation writes it."""
    return "/" + "/".join(segments)


def _not_proxmox(path: str) -> ProxmoxFailed:
    return ProxmoxFailed("Something answers there, but it is not the Proxmox API.", path=path)


class _Broken(Exception):
    """The connection broke when the request may have arrived; the cause says how."""


def _translated(error: requests.RequestException, method: str, path: str, access: ApiAccess) -> Exception:
    if isinstance(error, requests.exceptions.SSLError) and (mismatch := _mismatch(error, access)):
        return mismatch
    if isinstance(error, requests.exceptions.ConnectTimeout) or _was_never_sent(error):
        return EndpointUnreachable(f"No connection to Proxmox: {_deepest(error)}", path=path)
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return _not_proxmox(path)
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
    for cause in _chain(error):
        if isinstance(cause, NotPinnedError):
            return not_pinned(access, cause.shown)
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "doesn't match" in text:
        return not_signed(access)
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error of requests, and those of urllib3 and the system that it was made of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _was_never_sent(error: requests.RequestException) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError)


def _deepest(error: BaseException | None) -> str:
    deepest = deque(_chain(error), maxlen=1)
    return f"{type(deepest[0]).__name__}: {deepest[0]}" if deepest else "no answer"


def _refusal(method: str, path: str, error: ResourceException) -> Refusal:
    body = error.errors or {}
    errors = body.get("errors")
    return Refusal(
        method=method,
        path=path,
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
