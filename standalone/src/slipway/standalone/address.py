"""Where the page and the API of a stack are: on this machine only, or for others, with TLS or without.

Off loopback TLS is on. Then the gateway listens twice: with TLS at the address that was asked for, and in
plain HTTP at a loopback port of its own, for this machine's `slipway` and the checks of the start.
"""

import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from slipway.cli.errors import WrongInput
from slipway.standalone.embedded.ports import HOST

_DNS_NAME = re.compile(r"(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,62}")
_PORTS = {"http": 80, "https": 443}
_UNUSED_ADDRESSES = {4: (socket.AF_INET, ("192.0.2.1", 9)), 6: (socket.AF_INET6, ("2001:db8::1", 9))}
"""Addresses for documentation: no packet is sent to find the way to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where a stack listens, and how."""

    host: str = HOST
    has_tls: bool = False
    certificate: tuple[str, str] | None = None
    """Paths of the operator's certificate and its key; None: with TLS a self-signed one."""
    acme: tuple[str, ...] = ()
    """The names that a CA is asked to issue a certificate for."""

    @property
    def files(self) -> tuple[Path, Path] | None:
        """The operator's certificate and its key."""
        return (Path(self.certificate[0]), Path(self.certificate[1])) if self.certificate else None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ip_address(self.host).is_loopback

    @property
    def local_host(self) -> str:
        """The address at which this machine finds the plain port."""
        return HOST if self.has_tls or self.host in {HOST, "0.0.0.0"} else self.host  # noqa: S104

    @property
    def tls_host(self) -> str:
        """The address at which this machine finds the port with TLS."""
        return {"0.0.0.0": HOST, "::": "::1"}.get(self.host, self.host)  # noqa: S104 - it is not listened on

    @property
    def warning(self) -> str | None:
        """What a person should know before others use it."""
        if self.has_tls or self.is_loopback:
            return None
        return (
            f"Warning: {self.host} is reached from other machines without TLS: whoever is on the way reads "
            "the secret that people sign in with. Let only a proxy with TLS reach it (docs: Behind a proxy)."
        )

    def names(self) -> list[str]:
        """Return what a self-signed certificate is for: the names and addresses that people may write."""
        host = socket.gethostname()
        own = [self._reached_at or HOST]
        public = urlsplit(os.environ.get("SLIPWAY_PUBLIC_URL", "")).hostname
        return list(dict.fromkeys([host, "localhost", *own, HOST, "::1", *([public] if public else [])]))

    @property
    def _reached_at(self) -> str | None:
        """The address that others write: the own one, or that on the way to them; None if there is no way."""
        address = ip_address(self.host)
        if not address.is_unspecified:
            return self.host
        family, somewhere = _UNUSED_ADDRESSES[address.version]
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect(somewhere)
                found: str = probe.getsockname()[0]
                return found
        except OSError:
            return None

    def shown_url(self, port: int) -> str:
        """Return the address to tell people, when it listens at `port`."""
        public = os.environ.get("SLIPWAY_PUBLIC_URL")
        if public:
            return public
        names = [name.removeprefix("*.") for name in self.acme]
        host = next(iter(names), None) or self._reached_at or socket.gethostname()
        return url_of(host, port, scheme="https" if self.has_tls else "http")


def listening(
    host: str, *, certificate: Path | None, key: Path | None, acme: Sequence[str] = (), is_plain: bool
) -> Listening:
    """Return how to listen; raise `WrongInput` for what does not fit together.

    Args:
        host: an address of this machine, `0.0.0.0` or `::` for all of them, or `localhost`.
        certificate: the operator's, in a file.
        key: the certificate's private key.
        acme: the names that a CA is asked to issue a certificate for.
        is_plain: whether plain HTTP was asked for.
    """
    try:
        address = ip_address(HOST if host == "localhost" else host)
    except ValueError as error:
        raise WrongInput(
            f"--host {host}: give an address of this machine, or 0.0.0.0 for all of them"
        ) from error
    if (certificate is None) != (key is None):
        raise WrongInput("--tls-certificate and --tls-key are a pair: give both or none")
    if is_plain and (certificate is not None or acme):
        raise WrongInput("--plain-http is without TLS: leave --tls-certificate, --tls-key and --acme out")
    if acme and certificate is not None:
        raise WrongInput("--acme has a certificate issued: leave --tls-certificate and --tls-key out")
    for name in acme:
        if not _DNS_NAME.fullmatch(name):
            raise WrongInput(f"--acme {name}: give a name in DNS, like slipway.example.org")
    pair = (str(certificate.absolute()), str(key.absolute())) if certificate and key else None
    has_tls = not is_plain and (pair is not None or bool(acme) or not address.is_loopback)
    names = tuple(name.lower() for name in acme)
    return Listening(host=str(address), has_tls=has_tls, certificate=pair, acme=names)


def url_of(host: str, port: int, *, scheme: str = "http") -> str:
    """Write a URL, without the port that its scheme has anyway."""
    shown = "" if port == _PORTS[scheme] else f":{port}"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}{shown}"
