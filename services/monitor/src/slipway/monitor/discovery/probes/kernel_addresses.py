"""Addresses from `/proc/net`, for guests without `ip` and `hostname -I`; IPv4 ones have no device there."""

import re
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

_LEAF = re.compile(r"^\s*\|-- (?P<address>[0-9.]+)$")
_LOCAL = re.compile(r"^\s*/32 host LOCAL$")
_V6 = re.compile(
    r"^(?P<digits>[0-9a-f]{32})(?: [0-9a-f]+){2} (?P<scope>[0-9a-f]+) [0-9a-f]+\s+(?P<device>\S+)$"
)
_GLOBAL = "00"


COMMAND = "cat /proc/net/fib_trie /proc/net/if_inet6"
"""Print the routes, in which the guest's own addresses are marked, and the IPv6 addresses."""


def parse(output: str) -> Iterator[tuple[str, str]]:
    """Return devices and addresses, without those of loopback; other lines are skipped."""
    leaf = ""
    for line in output.splitlines():
        if match := _LEAF.match(line):
            leaf = match["address"]
        elif leaf and _LOCAL.match(line) and not ip_address(leaf).is_loopback:
            yield "", leaf
        elif (match := _V6.match(line)) and match["scope"] == _GLOBAL:
            yield match["device"], str(IPv6Address(bytes.fromhex(match["digits"])))
