"""The guest's own addresses: `ip -o addr`, or `hostname -I` where there is no `ip`."""

import re
from ipaddress import ip_address

_ROW = re.compile(r"^\d+:\s+(?P<device>[^\s@]+)\S*\s+inet6?\s+(?P<address>[^\s/]+)")
_INNER = ("docker", "br-", "veth", "virbr", "lo")
"""Devices whose addresses nobody outside reaches; they count last."""


COMMAND = "ip -o addr show 2>/dev/null || hostname -I"
"""List addresses, one a line or all in one."""


def parse(output: str) -> tuple[str, ...]:
    """Return the addresses that others could reach, the most likely one first."""
    rows = [(match["device"], match["address"]) for match in map(_ROW.match, output.splitlines()) if match]
    rows = rows or [("", word) for word in output.split()]
    usable = [(device, address) for device, address in rows if _is_usable(address)]
    return tuple(dict.fromkeys(address for _, address in sorted(usable, key=_rank)))


def _is_usable(address: str) -> bool:
    try:
        read = ip_address(address)
    except ValueError:
        return False
    return not read.is_link_local and str(read) not in {"127.0.0.1", "::1"}


def _rank(row: tuple[str, str]) -> tuple[bool, bool]:
    device, address = row
    return device.startswith(_INNER), ":" in address
