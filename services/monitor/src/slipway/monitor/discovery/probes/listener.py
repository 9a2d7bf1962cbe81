"""A listening socket, as every probe returns it."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

SYSTEMD = 1
"""The process that holds sockets for services, if systemd is the guest's init."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One listening socket."""

    protocol: str
    address: str
    """As bound; `0.0.0.0` and `::` are every address of one family, `*` those of both."""
    port: int
    process: str | None
    pid: int | None
    """Of `SYSTEMD` only if no other process has the socket."""


def bare(address: str) -> str:
    """Write an address without brackets and zone, and an IPv4 one inside IPv6 (RFC 4291, 2.5.5.2) as IPv4."""
    plain = address.partition("%")[0].strip("[]")
    try:
        read = ip_address(plain)
    except ValueError:
        return plain
    return str((read.ipv4_mapped if isinstance(read, IPv6Address) else None) or read)


def owner(pids: Sequence[int]) -> int | None:
    """Return which process serves a socket: systemd still holds those that it has passed on to a service."""
    return next((pid for pid in pids if pid != SYSTEMD), SYSTEMD if pids else None)
