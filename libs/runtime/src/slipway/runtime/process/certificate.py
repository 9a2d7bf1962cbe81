"""The certificate that a service shows to clients of HTTPS, loaded anew when its files change.

Theory of operation. The files are looked at every second; once they have changed and rest for a second, they
are read, so that a pair of which one half is still being written is not tried. A pair that can be used is
shown from the next handshake on; connections that stand go on. One that can't be used changes nothing: what
is shown stays, and the log, readiness (`certificate`) and a counter say why, until the files change again.
A first pair that can't be used ends the start. No reload is lost: what changes while a pair is read differs
from what was read, and is read next.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from prometheus_client import Counter, Gauge

from slipway.runtime.process.clock import now
from slipway.runtime.process.logs import get_logger
from slipway.runtime.process.metrics import show
from slipway.runtime.process.settings import SettingsProblem

log = get_logger()

POLL_SECONDS = 1.0
EXPIRES_SOON = timedelta(days=14)
"""From when on readiness says that a certificate expires: ACME clients renew 30 days before."""
HSTS = b"max-age=31536000"
_SENTENCE = "TLS is spoken at this port: write the address with https://."
_PROBLEM = json.dumps(
    {
        "type": "urn:slipway:problem:tls.missing",
        "title": "Bad Request",
        "status": 400,
        "code": "tls.missing",
        "detail": _SENTENCE,
        "message": _SENTENCE,
    }
).encode()
_PLAIN_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_PROBLEM), _PROBLEM)
)

certificate_loads = Counter(
    "slipway_certificate_loads", "Certificates read, by whether they can be used.", ["outcome"], registry=None
)
certificate_expires = Gauge(
    "slipway_certificate_expires_timestamp_seconds",
    "When the certificate that is shown expires.",
    registry=None,
)


class CertificateUnusable(SettingsProblem):
    """The files are not a certificate and its private key; the message names the setting and the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What is known of a certificate whose pair can be used."""

    fingerprint: str
    """SHA-256, as `AA:BB:...`."""
    names: tuple[str, ...]
    """The host names and addresses that it is for."""
    expires_at: datetime
    is_self_signed: bool


class CertificateFiles:
    """A pair of files, and the TLS context that shows what they hold."""

    def __init__(self, certificate_file: Path, key_file: Path) -> None:
        """Load the pair.

        Raises:
            CertificateUnusable: it can't be used.
        """
        self._files = (certificate_file, key_file)
        self._problem: str | None = None
        self._signature = self._look()
        self.certificate, self._shown = _loaded(*self._files)
        self.context = _server_context()
        """For a server: each handshake is shown the pair that was loaded last."""
        self.context.sni_callback = self._choose
        show(certificate_loads, certificate_expires)
        self._note_loaded()

    async def watch(self) -> NoReturn:
        """Load the pair whenever its files have changed, until cancelled."""
        previous = self._signature
        while True:
            await asyncio.sleep(POLL_SECONDS)
            current = self._look()
            if current == previous != self._signature:
                self._signature = current
                await asyncio.to_thread(self._reload)
            previous = current

    def shortages(self) -> Mapping[str, str]:
        """Return what is wrong with the certificate or will soon be, for readiness."""
        left = self.certificate.expires_at - now()
        at = f"{self.certificate.expires_at:%Y-%m-%d %H:%M} UTC"
        if self._problem is not None:
            reason = f"The new certificate is not used: {self._problem} The one before is still shown."
        elif left <= timedelta():
            reason = f"The certificate {self._files[0]} expired at {at}: replace both files."
        elif left < EXPIRES_SOON:
            reason = f"The certificate {self._files[0]} expires at {at}: replace both files before."
        else:
            return {}
        return {"certificate": reason}

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that answers over TLS have besides: who can't verify it must be able to look."""
        return [] if self.certificate.is_self_signed else [(b"strict-transport-security", HSTS)]

    def _reload(self) -> None:
        try:
            self.certificate, self._shown = _loaded(*self._files)
        except CertificateUnusable as error:
            self._problem = str(error)
            certificate_loads.labels("refused").inc()
            log.warning("certificate refused", reason=str(error), shown=self.certificate.fingerprint)
        else:
            self._problem = None
            self._note_loaded()

    def _note_loaded(self) -> None:
        certificate_loads.labels("loaded").inc()
        certificate_expires.set(self.certificate.expires_at.timestamp())
        log.info(
            "certificate loaded",
            fingerprint=self.certificate.fingerprint,
            names=list(self.certificate.names),
            expires_at=self.certificate.expires_at.isoformat(),
        )

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # A context of its own for each pair: to load one into a context that is used is not atomic.
        connection.context = self._shown

    def _look(self) -> tuple[object, ...]:
        return tuple(_state(path) for path in self._files)


def read_certificate(certificate_file: Path, key_file: Path) -> Certificate:
    """Check that two files are a certificate and its private key; return what is known of it.

    Raises:
        CertificateUnusable: they are not.
    """
    return _loaded(certificate_file, key_file)[0]


def _loaded(certificate_file: Path, key_file: Path) -> tuple[Certificate, ssl.SSLContext]:
    setting = "SLIPWAY_TLS_CERTIFICATE_FILE"
    try:
        first = x509.load_pem_x509_certificates(_content(setting, certificate_file))[0]
    except ValueError as error:
        raise CertificateUnusable(
            f"{setting}: {certificate_file} holds no certificate that can be read: write it as PEM, its own "
            "certificate first, then those of the CAs between."
        ) from error
    _check_key(first, key_file)
    context = _server_context()
    try:
        context.load_cert_chain(certificate_file, key_file)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error
        raise CertificateUnusable(f"{setting}: {certificate_file} can't be loaded: {reason}.") from error
    return _described(first), context


def _check_key(certificate: x509.Certificate, file: Path) -> None:
    setting = "SLIPWAY_TLS_KEY_FILE"
    content = _content(setting, file)
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except TypeError as error:
        raise CertificateUnusable(
            f"{setting}: the key in {file} has a pass phrase, which nobody could type at a start: take it "
            f"off (`openssl pkey -in {file.name} -out NEW`)."
        ) from error
    except Exception as error:
        raise CertificateUnusable(
            f"{setting}: {file} holds no private key that can be read: write it as PEM."
        ) from error
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public, shown = (
        each.public_bytes(serialization.Encoding.DER, form)
        for each in (key.public_key(), certificate.public_key())
    )
    if public != shown:
        raise CertificateUnusable(
            f"{setting}: the key in {file} does not belong to the certificate: replace both files, not one."
        )


def _content(setting: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CertificateUnusable(f"{setting}: can't read {file}: {error.strerror}.") from error


def _described(certificate: x509.Certificate) -> Certificate:
    try:
        own = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [*own.get_values_for_type(x509.DNSName), *own.get_values_for_type(x509.IPAddress)]
    except (x509.ExtensionNotFound, ValueError):
        names = []
    return Certificate(
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        names=tuple(str(name) for name in names),
        expires_at=certificate.not_valid_after_utc,
        is_self_signed=_is_self_signed(certificate),
    )


def _is_self_signed(certificate: x509.Certificate) -> bool:
    if certificate.issuer != certificate.subject:
        return False
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


class _ServerConnection(ssl.SSLObject):
    """A connection whose client may speak plain HTTP: then it is told so, instead of being cut."""

    outgoing: ssl.MemoryBIO
    _refusal: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        if self._refusal is not None:
            raise self._refusal
        try:
            super().do_handshake()
        except ssl.SSLError as error:
            if error.reason != "HTTP_REQUEST":
                raise
            self._refusal = error
            self.outgoing.write(_PLAIN_HTTP)
            # What waits is sent only where a handshake goes on; it ends with what the client does next.
            raise ssl.SSLWantReadError from error


class _ServerContext(ssl.SSLContext):
    sslobject_class = _ServerConnection

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *rest: Any, **more: Any) -> Any:
        connection = super().wrap_bio(incoming, outgoing, *rest, **more)
        connection.outgoing = outgoing  # type: ignore[attr-defined]  # it is of our class
        return connection


def _server_context() -> ssl.SSLContext:
    context = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _state(path: Path) -> object:
    """Return what changes when a file does; a link to another file too, as ACME clients set them."""
    try:
        status = path.stat()
    except OSError as error:
        return error.errno
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
