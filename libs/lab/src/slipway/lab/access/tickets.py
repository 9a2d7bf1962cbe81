"""Proof of identity: passwords, tickets with their CSRF tokens, and API tokens.

A ticket is `PVE:user:HEXTIME::signature`, its CSRF token `HEXTIME:signature`; both live two hours and the
ticket renews itself when posted as the password (PVE 9.2, observed). Every refusal costs the caller the
delay that the front adds to each 401.
"""

import base64
import hmac
import time
from fnmatch import fnmatchcase

from slipway.lab.access.accounts import Accounts, Token
from slipway.lab.access.actors import ROOT_NAME as ROOT
from slipway.lab.access.actors import Acl, Actor, root
from slipway.lab.faults import RightsTaken, TokenExpired
from slipway.lab.faults.standing import Faults
from slipway.lab.http.messages import Request
from slipway.lab.problems import Refused

LIFETIME_SECONDS = 7200
CLOCK_SECONDS = 300
"""How far a ticket may be from the future."""
SCHEME = "PVEAPIToken="
COOKIE = "PVEAuthCookie"


class Doorkeeper:
    """Knows root's password and the tokens; says who a request comes from."""

    def __init__(
        self,
        *,
        password: str,
        key: bytes,
        tokens: tuple[Token, ...],
        accounts: Accounts,
        faults: Faults,
    ) -> None:
        self._faults = faults
        self._password = password
        self._key = key
        self._own = {token.id: token for token in tokens}
        self.accounts = accounts
        """What `pveum` has made."""

    def services(self) -> list[Token]:
        """Return the tokens that are not root's, and that no `pveum` has made."""
        return [token for token in self._own.values() if token.user != ROOT]

    def login(self, username: str, password: str, realm: str | None) -> tuple[str, str]:
        """Return a ticket and its CSRF token for root's password, or for a ticket that still lives."""
        user = f"{username}@{realm}" if realm else username
        is_known = user == ROOT and (
            hmac.compare_digest(password.encode(), self._password.encode())
            or self._is_ticket_of(password, user)
        )
        if not is_known:
            raise Refused("authentication failure", status=401)
        stamp = f"{int(time.time()):08X}"
        return (
            f"PVE:{user}:{stamp}::{self._sign(f'PVE:{user}:{stamp}')}",
            f"{stamp}:{self._sign(f'{stamp}:{user}')}",
        )

    def identify(self, request: Request) -> Actor:
        """Return who asks; refuse without a body, as pveproxy does."""
        authorization = request.headers.get("authorization", "")
        if authorization.startswith(SCHEME):
            return self._token_actor(authorization.removeprefix(SCHEME))
        ticket = request.cookie(COOKIE) or authorization.removeprefix(f"{COOKIE}=")
        if not ticket:
            raise Refused("No ticket", status=401, is_empty=True)
        if not self._is_ticket_of(ticket, ROOT):
            raise _failed()
        if request.method != "GET" and not self._is_csrf(request.headers.get("csrfpreventiontoken", "")):
            raise Refused("Permission denied - invalid csrf token", status=401, is_empty=True)
        return root()

    def _token_actor(self, credentials: str) -> Actor:
        name, _, secret = credentials.partition("=")
        token = self._tokens().get(name)
        if token is None or not hmac.compare_digest(secret.encode(), token.secret.encode()):
            raise _failed()
        if any(fnmatchcase(token.id, order.token) for order in self._faults.all(TokenExpired)):
            raise _failed()
        return Actor(user=token.user, token=token.name, acl=self._left(token))

    def _tokens(self) -> dict[str, Token]:
        return self._own | self.accounts.tokens()

    def _left(self, token: Token) -> Acl:
        """Return what a token may, without what was taken from it."""
        acl = dict(token.acl)
        for order in self._faults.all(RightsTaken):
            for path in acl if fnmatchcase(token.id, order.token) else ():
                if fnmatchcase(path, order.path):
                    acl[path] = acl[path] - set(order.rights) if order.rights else frozenset()
        return acl

    def _is_ticket_of(self, ticket: str, user: str) -> bool:
        signed, separator, signature = ticket.partition("::")
        if not separator or not hmac.compare_digest(signature.encode(), self._sign(signed).encode()):
            return False
        return signed.startswith(f"PVE:{user}:") and _is_young(signed.rpartition(":")[2])

    def _is_csrf(self, token: str) -> bool:
        stamp, _, signature = token.partition(":")
        return hmac.compare_digest(signature.encode(), self._sign(f"{stamp}:{ROOT}").encode()) and _is_young(
            stamp
        )

    def _sign(self, content: str) -> str:
        return base64.b64encode(hmac.digest(self._key, content.encode(), "sha256")).decode()


def _is_young(stamp: str) -> bool:
    return -CLOCK_SECONDS < time.time() - int(stamp, 16) < LIFETIME_SECONDS


def _failed() -> Refused:
    return Refused("Authentication failed!", status=401, is_empty=True)
