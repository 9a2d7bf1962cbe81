"""The site's proxy, mirrors and certificates as a guest has them: files and variables. Pure.

Values are quoted by construction: variables as a shell reads them, and apt's options without any character
that could end a value.
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from slipway.contracts.container_specs import GuestSettings
from slipway.proxmox.files import GuestFile
from slipway.proxmox.shell import exports

FOLDER = "/var/lib/slipway/site"
"""Guest path of what was set up, and of the script that takes it back."""
SCRIPT = f"{FOLDER}/site.sh"
CERTIFICATES = f"{FOLDER}/ca.pem"
_LOCAL = ("localhost", "127.0.0.1", "::1")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n")
_OPTION = re.compile(r"[A-Za-z0-9._~:/\[\]-]+")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")


def is_set(guest: GuestSettings | None) -> bool:
    """Return whether anything is to be set up in the guest."""
    return guest is not None and any(value for name, value in guest if name != "is_outgoing_blocked")


def environment(guest: GuestSettings | None) -> Mapping[str, str]:
    """Return the variables with which package managers and scripts run."""
    if guest is None:
        return {}
    variables = {"NODE_EXTRA_CA_CERTS": CERTIFICATES} if guest.ca else {}
    if not guest.http_proxy:
        return variables
    direct = ",".join((*_LOCAL, *_mirrors(guest), *_exceptions(guest)))
    proxies = {"http_proxy": guest.http_proxy, "https_proxy": guest.http_proxy, "no_proxy": direct}
    return variables | proxies | {name.upper(): value for name, value in proxies.items()}


def files(guest: GuestSettings, script: bytes) -> tuple[GuestFile, ...]:
    """Return what is put below `FOLDER`, and placed from there by the script."""
    contents = {"site.sh": script}
    if options := "".join(_apt_options(guest)):
        contents["apt.conf"] = options.encode()
    if variables := environment(guest):
        contents["profile.sh"] = exports(variables)
    if guest.ca:
        contents["ca.pem"] = guest.ca.encode()
        for number, certificate in enumerate(_CERTIFICATE.findall(guest.ca), start=1):
            contents[f"ca/{number}.crt"] = certificate.encode()
    return tuple(
        GuestFile(path=f"{FOLDER}/{name}", content=content, policy="replace", owner="root", group="root")
        for name, content in contents.items()
    )


def _apt_options(guest: GuestSettings) -> Iterator[str]:
    if proxy := guest.apt_cache or guest.http_proxy:
        yield _apt_option("Acquire::http::Proxy", proxy)
        yield _apt_option("Acquire::https::Proxy", guest.http_proxy or "DIRECT")
    if not proxy:
        return
    # A cache is there for the mirror, a way out is not.
    direct = _exceptions(guest) if guest.apt_cache else (*_mirrors(guest), *_exceptions(guest))
    for host in direct:
        if _HOST.fullmatch(host):
            yield _apt_option(f"Acquire::http::Proxy::{host}", "DIRECT")
            yield _apt_option(f"Acquire::https::Proxy::{host}", "DIRECT")


def _apt_option(name: str, value: str) -> str:
    if not _OPTION.fullmatch(name) or not _OPTION.fullmatch(value):
        raise ValueError(f"not an option of apt: {name}")
    return f'{name} "{value}";\n'


def _mirrors(guest: GuestSettings) -> tuple[str, ...]:
    urls = filter(None, (guest.apt_mirror, guest.apk_mirror))
    return tuple(dict.fromkeys(host for url in urls if (host := urlsplit(url).hostname)))


def _exceptions(guest: GuestSettings) -> tuple[str, ...]:
    return tuple(part for part in (guest.no_proxy or "").split(",") if part)
