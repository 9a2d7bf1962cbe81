"""Checks how a guest reaches what is outside: proxy, mirrors, certificates. Pure; a fault names its field.

What comes out of here goes into files and scripts of guests: a URL has no character that means anything to a
shell, to sed or to apt, and a certificate is written anew from what was read of it.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from slipway.contracts.container_specs import GuestSettings
from slipway.contracts.problems import FieldError
from slipway.inventory.containers.validation.content import LARGEST_BYTES
from slipway.inventory.containers.validation.texts import is_address, is_domain, shown

MOST_CERTIFICATES = 10
MOST_EXCEPTIONS = 64
_LONGEST_URL = 500
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]+)*)/?"
)
_EXCEPTION = re.compile(r"[A-Za-z0-9.*:/_-]{1,253}")
_NUMERIC = re.compile(r"[0-9.]+")
_PORTS = range(1, 65536)
_PRIVATE = "PRIVATE KEY"
_URLS: Mapping[str, tuple[tuple[str, ...], str]] = MappingProxyType(
    {
        "http_proxy": (("http",), "http://proxy.lan:3128"),
        "apt_cache": (("http",), "http://cache.lan:3142"),
        "apt_mirror": (("http", "https"), "http://mirror.lan"),
        "apk_mirror": (("http", "https"), "http://mirror.lan/alpine"),
    }
)
"""The schemes that each URL may have, and an example."""
_PROXIES = frozenset({"http_proxy", "apt_cache"})


def faults(guest: GuestSettings, prefix: str = "") -> Iterator[FieldError]:
    """Return what is wrong with them; an empty text is none of it."""
    for name in _URLS:
        value = getattr(guest, name)
        if value and (wrong := _url_fault(name, value)):
            yield FieldError(field=f"{prefix}{name}", message=wrong)
    if guest.no_proxy and (wrong := _exceptions_fault(guest.no_proxy)):
        yield FieldError(field=f"{prefix}no_proxy", message=wrong)
    if guest.ca and (wrong := _ca_fault(guest.ca)):
        yield FieldError(field=f"{prefix}ca", message=wrong)


def normal(guest: GuestSettings) -> GuestSettings | None:
    """Return checked settings in the one way in which they are written; None if there are none."""
    values = {
        **{name: _normal_url(getattr(guest, name)) for name in _URLS},
        "no_proxy": ",".join(_exceptions(guest.no_proxy or "")) or None,
        "ca": "".join(_pem(each) for each in _certificates(guest.ca)) if guest.ca else None,
        "is_outgoing_blocked": guest.is_outgoing_blocked or None,
    }
    return GuestSettings.model_validate(values) if any(values.values()) else None


def summary(ca: str) -> str:
    """Return certificates as people tell them apart."""
    found = _certificates(ca)
    names = "; ".join(f"{each.subject.rfc4514_string()}, SHA-256 {_fingerprint(each)}" for each in found)
    return f"{len(found)} certificate{'s' if len(found) > 1 else ''}: {names}"


def _url_fault(name: str, text: str) -> str | None:
    schemes, example = _URLS[name]
    if "@" in text:
        return (
            "It has a name or password in it, which everyone in each guest could read, and so could whoever "
            "sees a plan or a log; Slipway stores none. Let the proxy or mirror admit the site's networks."
        )
    match = _URL.fullmatch(text) if len(text) <= _LONGEST_URL else None
    is_right = match is not None and _is_host(match["host"]) and int(match["port"] or 1) in _PORTS
    if match is None or not is_right or match["scheme"] not in schemes:
        kinds = " or ".join(f"{each}://" for each in schemes)
        return (
            f"{shown(text)} is not a URL like {example}: {kinds}, a host, a port if need be, "
            "and a path of ASCII letters, digits and . _ ~ - without query."
        )
    if name in _PROXIES and match["path"]:
        return "A proxy has no path."
    return None


def _is_host(text: str) -> bool:
    """Return whether a URL's host is a name or an address; who sets the guest up reads it again."""
    if text.startswith("["):
        return is_address(text[1:-1], version=6)
    return is_address(text, version=4) if _NUMERIC.fullmatch(text) else is_domain(text)


def _exceptions_fault(text: str) -> str | None:
    found = _exceptions(text)
    if len(found) > MOST_EXCEPTIONS:
        return f"At most {MOST_EXCEPTIONS}."
    wrong = next((each for each in found if not _EXCEPTION.fullmatch(each)), None)
    return None if wrong is None else f"{shown(wrong)} is no name, domain (.lan), address or network."


def _ca_fault(text: str) -> str | None:
    if _PRIVATE in text:
        return "There is a private key in it: give the certificates alone, and consider that key as known."
    if len(text.encode()) > LARGEST_BYTES:
        return f"At most {LARGEST_BYTES >> 10} KiB."
    try:
        found = _certificates(text)
    except ValueError:
        return "It is no PEM certificate: -----BEGIN CERTIFICATE-----, base64, -----END CERTIFICATE-----."
    return f"At most {MOST_CERTIFICATES} certificates." if len(found) > MOST_CERTIFICATES else None


def _normal_url(text: str | None) -> str | None:
    match = _URL.fullmatch(text or "")
    if match is None:
        return None
    port = f":{int(match['port'])}" if match["port"] else ""
    return f"{match['scheme']}://{match['host'].lower()}{port}{match['path']}"


def _exceptions(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _certificates(text: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(text.encode())


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(SHA256()).hex(":").upper()
