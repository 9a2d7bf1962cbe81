"""Whom a client trusts over HTTPS: the machine's CAs, a CA of its own, or one certificate.

With a fingerprint neither names nor dates matter, as with an SSH host key: it is that one certificate, or the
connection ends in the handshake, before the token was sent.
"""

import hashlib
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_FINGERPRINT = re.compile(r"(?:[0-9A-F]{2}:?){31}[0-9A-F]{2}", re.IGNORECASE)


class NotTrusted(Exception):
    """A server's certificate is not one that is trusted, or what says whom to trust can't be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Which certificates are trusted; without a value those of the machine's CAs."""

    fingerprint: str | None = None
    """SHA-256 of the one certificate, as `AA:BB:...`."""
    ca_file: Path | None = None
    """A CA's certificate (PEM), or the server's own."""

    def context(self, url: str) -> ssl.SSLContext | bool:
        """Return what httpx takes as `verify` for a URL; reading the machine's CAs takes a moment.

        Raises:
            NotTrusted: a certificate is to be checked, and there would be none.
        """
        is_given = self.fingerprint is not None or self.ca_file is not None
        if urlsplit(url).scheme.lower() != "https":
            if is_given:
                raise NotTrusted(
                    f"{url} is without TLS, so no certificate is checked there: write it with https://, "
                    "or unset SLIPWAY_TLS_FINGERPRINT and SLIPWAY_TLS_CA_FILE"
                )
            return False
        if self.fingerprint is not None:
            return _pinned(self.fingerprint)
        if self.ca_file is None:
            return True
        try:
            return ssl.create_default_context(cafile=str(self.ca_file))
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or error
            raise NotTrusted(f"SLIPWAY_TLS_CA_FILE: can't read {self.ca_file}: {reason}") from error


def refusal(error: BaseException) -> str | None:
    """Return why a server's certificate was refused; None if the error has another reason."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return getattr(cause, "verify_message", None) or str(cause.args[-1])
        cause = cause.__cause__ or cause.__context__
    return None


def untrusted(url: str, reason: str) -> NotTrusted:
    """Return the error for a server whose certificate was refused, with what to do."""
    advice = (
        ""
        if "SLIPWAY_TLS_FINGERPRINT" in reason
        else (
            ". If it is Slipway's own, set SLIPWAY_TLS_FINGERPRINT to the fingerprint that `slipway up` "
            "printed; if a CA of yours signed it, SLIPWAY_TLS_CA_FILE to the CA's certificate"
        )
    )
    return NotTrusted(f"the certificate of {url} is not trusted: {reason}{advice}. Nothing was sent.")


class _PinnedConnection(ssl.SSLObject):
    """A connection whose handshake ends well with one certificate only."""

    def do_handshake(self) -> None:
        super().do_handshake()
        shown = hashlib.sha256(self.getpeercert(binary_form=True) or b"").digest().hex(":").upper()
        pin = self.context.pin if isinstance(self.context, _PinnedContext) else ""
        if shown != pin:
            raise ssl.SSLCertVerificationError(
                f"it has the fingerprint {shown}, and SLIPWAY_TLS_FINGERPRINT is {pin}. If the certificate "
                "was changed on purpose, compare with what `slipway up` printed and set the new one; else "
                "somebody is between this machine and Slipway"
            )


class _PinnedContext(ssl.SSLContext):
    sslobject_class = _PinnedConnection
    pin: str


def _pinned(fingerprint: str) -> ssl.SSLContext:
    digits = fingerprint.strip()
    if not _FINGERPRINT.fullmatch(digits):
        raise NotTrusted(
            "SLIPWAY_TLS_FINGERPRINT is no SHA-256 fingerprint: it is 32 pairs of hex digits (`AA:BB:...`), "
            "as `slipway up` prints it"
        )
    context = _PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.pin = bytes.fromhex(digits.replace(":", "")).hex(":").upper()
    return context
