"""Trust one server only: the TLS side of a connection to Proxmox.

A node's certificate is signed by its cluster's own CA, so the public CAs say nothing about it. Either the
certificate itself is pinned by its SHA-256, or the cluster's CA is the only one that counts, or, with
neither, the CAs of this system decide. Exactly one of the three applies; `verify` flags and the environment
(`REQUESTS_CA_BUNDLE`, proxies) change nothing.
"""

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from slipway.contracts.problems import Invalid
from slipway.proxmox.access import DEFAULT_PORT, ApiAccess
from slipway.proxmox.errors import CertificateMismatch, NodeUnreachable, unknown_name


class NotPinnedError(ssl.SSLError):
    """The server shows a certificate that is not among the pinned ones."""

    def __init__(self, shown: str) -> None:
        super().__init__("the certificate is not pinned")
        self.shown = shown


class PinnedConnection(HTTPSConnection):
    """A connection that sends nothing before the server is trusted."""

    pins: ClassVar[frozenset[str]] = frozenset()

    def connect(self) -> None:
        """Connect, and look at the certificate if it is pinned."""
        try:
            super().connect()
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "no TLS handshake in time") from error
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError) as error:
            raise NewConnectionError(self, f"the TLS handshake broke off: {error}") from error
        if not self.pins:
            return
        shown = hashlib.sha256(cast("ssl.SSLSocket", self.sock).getpeercert(binary_form=True) or b"").digest()
        if shown.hex() not in self.pins:
            self.close()
            raise NotPinnedError(shown.hex(":").upper())
        self.is_verified = True


class PinnedAdapter(HTTPAdapter):
    """Carries requests over TLS to the server that the access means, and to no other."""

    def __init__(self, access: ApiAccess) -> None:
        self._trust = _trust(access)
        self._pins = access.pins
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pool, whose connections believe only what the access does."""
        super().init_poolmanager(*args, **options)
        pinned = type("_Connection", (PinnedConnection,), {"pins": self._pins})
        pool = type("_Pool", (HTTPSConnectionPool,), {"ConnectionCls": pinned})
        self.poolmanager.pool_classes_by_scheme = {"https": pool}

    def build_connection_pool_key_attributes(
        self,
        request: requests.PreparedRequest,
        verify: bool | str,  # noqa: FBT001 (the signature is that of requests)
        cert: str | tuple[str, str] | None = None,
    ) -> tuple[Any, Any]:
        """Return the pool's TLS arguments for urllib3."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, dict(self._trust)

    def cert_verify(self, conn: object, url: object, verify: object, cert: object) -> None:
        """Add nothing: requests would add the public CAs here, beside the only one that counts."""


def pinned_session(session: requests.Session, access: ApiAccess) -> PinnedAdapter:
    """Make a session talk to this access only; returns the adapter that holds its connection."""
    adapter = PinnedAdapter(access)
    session.trust_env = False
    session.max_redirects = 0
    session.adapters.clear()
    session.mount("https://", adapter)
    return adapter


async def scan_fingerprint(endpoint: str, *, timeout: timedelta = timedelta(seconds=10)) -> str:
    """Ask an endpoint for its certificate's SHA-256, for a person to compare and pin."""
    parts = urlsplit(endpoint)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or DEFAULT_PORT, ssl=context)
    except socket.gaierror as error:
        raise NodeUnreachable(unknown_name(str(parts.hostname)), path="/") from error
    except (OSError, TimeoutError) as error:
        raise NodeUnreachable(f"No TLS server answers at {endpoint}.", path="/") from error
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) or b""
    writer.close()
    return hashlib.sha256(certificate).digest().hex(":").upper()


def not_pinned(access: ApiAccess, shown: str) -> CertificateMismatch:
    """Return the error for a certificate that is not pinned: both fingerprints, and what accepts it."""
    pinned = ", ".join(sorted(bytes.fromhex(pin).hex(":").upper() for pin in access.pins))
    return CertificateMismatch(
        f"The certificate of {access.endpoint} is not the pinned one: it shows {shown}, pinned is {pinned}. "
        "If it was renewed, compare what it shows with the node itself (`openssl x509 -noout -sha256 "
        "-fingerprint -in /etc/pve/local/pveproxy-ssl.pem`, or pve-ssl.pem if there is none), and accept it: "
        f'PUT /api/v1/clusters/{access.name}/access {{"tls_fingerprint": "{shown}"}}.',
        endpoint=access.endpoint,
        shown=shown,
        pinned=pinned,
    )


def not_signed(access: ApiAccess) -> CertificateMismatch:
    """Return the error for a certificate that no CA vouches for, and how to fix it."""
    whose = "the configured CA of the cluster" if access.ca else "a CA that this machine trusts"
    return CertificateMismatch(
        f"The certificate of {access.endpoint} is not signed by {whose}, is for another name, or has "
        "expired. Give the CA that signs it now (/etc/pve/pve-root-ca.pem on a node), or pin it: PUT "
        f'/api/v1/clusters/{access.name}/access {{"ca": "..."}} or {{"tls_fingerprint": "..."}}.',
        endpoint=access.endpoint,
    )


def _trust(access: ApiAccess) -> Mapping[str, object]:
    if access.pins:
        # Without a context of its own, urllib3 reads all CAs of the system for each connection: 40 ms of CPU.
        context = create_urllib3_context(cert_reqs=ssl.CERT_NONE)
        return {"cert_reqs": "CERT_NONE", "assert_hostname": False, "ssl_context": context}
    try:
        context = ssl.create_default_context(cadata=access.ca)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise Invalid("The CA certificate is not PEM text.", code="proxmox.access-invalid") from error
    if access.ca is not None:
        # Old cluster CAs lack extensions that Python 3.13 began to ask for.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return {"cert_reqs": "CERT_REQUIRED", "ssl_context": context}
