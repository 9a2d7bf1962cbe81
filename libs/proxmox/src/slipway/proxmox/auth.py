"""Authenticate requests: an API token, or a login whose ticket is renewed in time.

proxmoxer's own login goes around the session, and so around the pinned certificate, and forgets the password;
hence ours. A ticket lives two hours and is renewed with itself after one; after a longer silence, or when the
node refuses it, the password is used again. One `TicketAuth` serves all threads of a connection: the first
that finds the ticket old renews it, the others wait. A refused login is not repeated for a while: it costs
three seconds on the node (PVE 9.2, observed) and may lock the account.
"""

import threading
import time
from collections.abc import Callable
from urllib.parse import quote

import requests
from proxmoxer.backends.https import ProxmoxHTTPApiTokenAuth, ProxmoxHTTPAuthBase
from pydantic import SecretStr

from slipway.proxmox.access import ApiAccess
from slipway.proxmox.errors import AccessRefused

RENEW_AFTER_SECONDS = 3600.0
EXPIRES_AFTER_SECONDS = 6900.0
"""Two hours less five minutes, for clocks that differ."""
REFUSED_SECONDS = 30.0
"""How long a refused login is answered without asking the node again."""

Timeouts = tuple[float, float]
Login = Callable[[str, SecretStr], tuple[str, str]]
"""Post user name and password (or a ticket in its place); returns ticket and CSRF token."""


class TicketAuth(ProxmoxHTTPAuthBase):  # type: ignore[misc]  # proxmoxer ships no types
    """Puts a valid ticket on each request, and the CSRF token on each that changes something."""

    def __init__(self, access: ApiAccess, *, login: Login, timeout: Timeouts) -> None:
        super().__init__(timeout=timeout, verify_ssl=True)
        self._username = access.username or ""
        self._password = access.password or SecretStr("")
        self._login = login
        self._lock = threading.Lock()
        self._ticket = ""
        self._csrf = ""
        self._born = float("-inf")
        self._refusal: tuple[float, AccessRefused] | None = None

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign one request."""
        with self._lock:
            self._renew()
            ticket, csrf = self._ticket, self._csrf
        request.headers["Cookie"] = f"PVEAuthCookie={quote(ticket, safe='')}"
        if request.method != "GET":
            request.headers["CSRFPreventionToken"] = csrf
        return request

    def drop_ticket(self, since: float) -> bool:
        """Drop the ticket if it is older than a refused request; return whether a retry makes sense."""
        with self._lock:
            if self._born <= since:
                self._born = float("-inf")
            return self._refusal is None

    def _renew(self) -> None:
        age = time.monotonic() - self._born
        if age < RENEW_AFTER_SECONDS:
            return
        if age < EXPIRES_AFTER_SECONDS and self._renewed_with(SecretStr(self._ticket)) is None:
            return
        if self._refusal and time.monotonic() - self._refusal[0] < REFUSED_SECONDS:
            raise AccessRefused(self._refusal[1].message)
        refusal = self._renewed_with(self._password)
        self._refusal = (time.monotonic(), refusal) if refusal else None
        if refusal:
            raise refusal

    def _renewed_with(self, password: SecretStr) -> AccessRefused | None:
        try:
            self._ticket, self._csrf = self._login(self._username, password)
        except AccessRefused as refusal:
            return refusal
        self._born = time.monotonic()
        return None


def token_auth(access: ApiAccess, *, timeout: Timeouts) -> ProxmoxHTTPApiTokenAuth:
    """Return the authentication with an API token."""
    user, _, name = (access.token_id or "").partition("!")
    secret = access.token_secret.get_secret_value() if access.token_secret else ""
    return ProxmoxHTTPApiTokenAuth(user, name, secret, timeout=timeout, verify_ssl=True)
