"""The actor of a request: the bearer of the bootstrap token, or a browser with a session."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from slipway.contracts.problems import FieldError, Forbidden, Unauthenticated, Unavailable
from slipway.gateway.identity.store import SessionStore
from slipway.runtime.process.clock import now
from slipway.runtime.process.logs import get_logger
from slipway.runtime.process.settings import SettingsProblem
from slipway.runtime.secrets.keys import write_private
from slipway.runtime.secrets.redaction import redact

log = get_logger()

COOKIE = "slipway-session"
BOOTSTRAP = "bootstrap"
"""The actor that the bootstrap token stands for."""
WRONG_SECRET_SECONDS = 0.5
_MOST_GUESSES = 8
_SAFE = {"GET", "HEAD", "OPTIONS"}


class TokenMissing(Unauthenticated):
    """The request has neither a token nor a session."""

    code = "auth.missing"


class TokenWrong(Unauthenticated):
    """The token or session is invalid or has expired."""

    code = "auth.wrong"


class HeaderMissing(Forbidden):
    """A browser's change without the header that only our own page can send."""

    code = "auth.header-missing"


class OriginWrong(Forbidden):
    """A browser's change from a page that is not this Slipway's."""

    code = "auth.origin-wrong"


class TooManyGuesses(Unavailable):
    """Others are guessing secrets at this moment."""

    code = "auth.too-many-guesses"


class Auth:
    """Authenticates requests."""

    def __init__(
        self, token_file: Path, store: SessionStore, lifetime: timedelta, *, origin: str | None = None
    ) -> None:
        """Prepare.

        Args:
            token_file: of the bootstrap token.
            store: of sessions.
            lifetime: of a session.
            origin: of the page, if it is known (`https://example.org`).
        """
        self._origin = origin.lower().encode() if origin is not None else None
        self._token_file = token_file
        self._token = b""
        self._store = store
        self.lifetime = lifetime
        self._guesses = asyncio.Semaphore(_MOST_GUESSES)

    async def load(self) -> None:
        """Read the bootstrap token; the first start makes it."""
        if not self._token_file.exists():
            write_private(self._token_file, secrets.token_urlsafe(32) + "\n")
            log.info("bootstrap token made", file=str(self._token_file))
        token = self._token_file.read_text(encoding="utf-8").strip()
        if not token:
            raise SettingsProblem(
                f"SLIPWAY_BOOTSTRAP_TOKEN_FILE: {self._token_file} is empty; nobody could sign in"
            )
        redact(token)
        self._token = token.encode()

    async def actor(self, method: str, headers: dict[bytes, bytes]) -> str:
        """Return the actor.

        Raises:
            TokenMissing, TokenWrong: nobody is known by what was sent.
            HeaderMissing, OriginWrong: a change with a cookie has to carry `X-Slipway-Request`, and to come
                from our own page.
        """
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer":
            if not self._is_token(token.strip()):
                raise TokenWrong("The bearer token is invalid.")
            return BOOTSTRAP
        cookie = cookie_of(headers)
        if cookie is None:
            raise TokenMissing("Send `Authorization: Bearer TOKEN`, or sign in on the page.")
        actor = await self._store.actor_of(_digest(cookie))
        if actor is None:
            raise TokenWrong("The session is over; sign in again.")
        if method not in _SAFE:
            self._check_page(headers)
        return actor

    async def sign_in(self, secret: str, *, client: str) -> str:
        """Open a session if the bootstrap secret is right; return its cookie. `client` is who tries."""
        if not self._is_token(secret.strip().encode()):
            log.warning("sign-in refused", client=client)
            await self._slow_down()
            message = "That is not the secret; it stands in the file that `slipway up` names."
            raise TokenWrong(message, errors=[FieldError(field="secret", message=message)])
        cookie = secrets.token_urlsafe(32)
        await self._store.open(_digest(cookie), BOOTSTRAP, now() + self.lifetime)
        return cookie

    async def sign_out(self, headers: dict[bytes, bytes]) -> None:
        """End the session, if there is one."""
        cookie = cookie_of(headers)
        if cookie is not None:
            await self._store.close(_digest(cookie))

    def _check_page(self, headers: dict[bytes, bytes]) -> None:
        if headers.get(b"x-slipway-request") != b"1":
            raise HeaderMissing("A change with a session needs the header X-Slipway-Request: 1.")
        origin = headers.get(b"origin", b"").lower()
        if not origin or self._origin is None or origin == self._origin:
            return
        if origin.partition(b"://")[2] != headers.get(b"host", b"").lower():
            raise OriginWrong(
                "This change comes from a page at another address than SLIPWAY_PUBLIC_URL says. Open Slipway "
                "at that address, or correct the setting."
            )

    def _is_token(self, token: bytes) -> bool:
        return bool(self._token) and hmac.compare_digest(token, self._token)

    async def _slow_down(self) -> None:
        if self._guesses.locked():
            raise TooManyGuesses("Too many wrong secrets at once; wait a moment.")
        async with self._guesses:
            await asyncio.sleep(WRONG_SECRET_SECONDS)


def headers_of(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return a request's headers by name; cookies may come in several."""
    pairs = list(headers)
    by_name = dict(pairs)
    if cookies := [value for name, value in pairs if name == b"cookie"]:
        by_name[b"cookie"] = b"; ".join(cookies)
    return by_name


def cookie_of(headers: dict[bytes, bytes]) -> str | None:
    """Return the session's cookie, whatever others the host has set: browsers send all of them."""
    for each in headers.get(b"cookie", b"").split(b";"):
        name, _, value = each.strip().partition(b"=")
        if name == COOKIE.encode() and value:
            return value.decode("latin-1")
    return None


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
