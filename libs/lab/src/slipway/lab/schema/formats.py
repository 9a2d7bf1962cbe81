"""Named formats of PVE::JSONSchema, with the words that Proxmox uses when a value does not fit.

Pure. A format that is not listed here accepts anything: then the call's own checks decide.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address

import tzdata

_LEAST_PREFIX = 8
_ZONE = re.compile(r"(fe80:[^%]+)%[a-z][a-z0-9_]{1,20}(?:[:.]\d+)?", re.IGNORECASE)
_START = re.compile(r"((order|up|down)=)?\d+")
_LABEL = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)"


def fault(name: str, value: str) -> str | None:
    """Return what is wrong with a value of this format, or None."""
    if name.endswith("-list"):
        checker = _FORMATS.get(name.removesuffix("-list"))
        faults = (checker(item) for item in re.split(r"[,;\s\0]+", value) if item) if checker else ()
        return next((wrong for wrong in faults if wrong), None)
    checker = _FORMATS.get(name)
    return checker(value) if checker else None


def _matching(pattern: str, words: str) -> Callable[[str], str | None]:
    compiled = re.compile(pattern)

    def checked(value: str) -> str | None:
        return None if compiled.fullmatch(value) else words.format(value=value)

    return checked


def _parsing(
    kind: Callable[[str], object], words: str, *, also: tuple[str, ...] = ()
) -> Callable[[str], str | None]:
    def checked(value: str) -> str | None:
        if value in also:
            return None
        try:
            kind(value)
        except ValueError:
            return words
        return None

    return checked


def _with_prefix(kind: Callable[[str], IPv4Interface | IPv6Interface]) -> Callable[[str], object]:
    def parse(value: str) -> object:
        if "/" not in value or kind(value).network.prefixlen < _LEAST_PREFIX:
            raise ValueError(value)
        return value

    return parse


def _address_or_interface(value: str) -> object:
    zoned = _ZONE.fullmatch(value)
    return ip_address(zoned[1] if zoned else value.replace("%", "/"))


def _timezone(value: str) -> str | None:
    return None if value in {"host", "UTC"} or value in _zones() else f"invalid time zone '{value}'"


@cache
def _zones() -> frozenset[str]:
    """Return the names of zone.tab (PVE::JSONSchema, `pve_verify_timezone`)."""
    lines = files(tzdata).joinpath("zoneinfo", "zone.tab").read_text("utf-8").splitlines()
    return frozenset(line.split("\t")[2] for line in lines if not line.startswith("#"))


def _startup(value: str) -> str | None:
    parts = [part for part in value.split(",") if part.strip()]
    is_right = value not in ("", "0") and all(_START.fullmatch(part) for part in parts)
    return None if is_right else "unable to parse startup options"


_FORMATS: Mapping[str, Callable[[str], str | None]] = {
    "pve-vmid": _matching(r"[1-9][0-9]{2,8}", "value does not look like a valid VM ID"),
    "pve-node": _matching(_LABEL, "value does not look like a valid node name"),
    "pve-storage-id": _matching(
        r"[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]", "storage ID '{value}' contains illegal characters"
    ),
    "pve-storage-content": _matching(
        r"images|rootdir|vztmpl|iso|backup|snippets|none|import",
        "value does not look like a valid content type",
    ),
    "pve-poolid": _matching(
        r"[A-Za-z0-9\-_.]+(/[A-Za-z0-9\-_.]+){0,2}", "value '{value}' does not look like a valid pool name"
    ),
    "pve-configid": _matching(r"[a-zA-Z][\w-]+", "invalid configuration ID '{value}'"),
    "pve-volume-id": _matching(
        r"[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]:.+", "unable to parse volume ID '{value}'"
    ),
    "pve-tag": _matching(r"[a-zA-Z0-9_][a-zA-Z0-9_\-+.]*", "invalid characters in tag"),
    "pve-task-status-type": _matching(r"unknown|error|warning|ok", "invalid status type '{value}'"),
    "pve-ct-timezone": _timezone,
    "pve-ipv4-config": _parsing(
        _with_prefix(IPv4Interface),
        "value does not look like a valid ipv4 network configuration",
        also=("dhcp", "manual"),
    ),
    "pve-ipv6-config": _parsing(
        _with_prefix(IPv6Interface),
        "value does not look like a valid ipv6 network configuration",
        also=("auto", "dhcp", "manual"),
    ),
    "pve-startup-order": _startup,
    "pve-lxc-mp-string": _matching(
        r"(?!\.\./)(?!.*/\.\.?(/|$))[^,\0\n]+", "{value} contains illegal character sequences"
    ),
    "pve-lxc-dev-string": _matching(r"(?!.*/\.\.?(/|$))/dev/[^,\n]*", "{value} is not a valid device path"),
    "dns-name": _matching(rf"{_LABEL}(\.{_LABEL})*", "value does not look like a valid DNS name"),
    "disk-size": _matching(r"\d+(\.\d+)?[KMGT]?", "value does not look like a valid disk size: {value}"),
    "mac-addr": _matching(
        r"[a-fA-F0-9][02468aceACE](:[a-fA-F0-9]{2}){5}",
        "value does not look like a valid unicast MAC address",
    ),
    "ipv4": _parsing(IPv4Address, "value is not a valid IPv4 address"),
    "ipv6": _parsing(IPv6Address, "value is not a valid IPv6 address"),
    "lxc-ip-with-ll-iface": _parsing(_address_or_interface, "value does not look like a valid IP address"),
}
