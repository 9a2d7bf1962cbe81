"""The guest's own addresses: `ip -o addr`, or `hostname -I` where there is no `ip`."""

import re
from ipaddress import ip_address

_ROW = re.compile(
    r"^\d+:\s+(?P<device>[^\s@]+)\S*\s+inet6?\s+(?P<address>[^\s/]+)(?:.*?\sscope (?P<scope>\S+))?"
)
_INNER = re.compile(
    r"(?:docker|podman|cni-podman|cni|virbr|lxcbr|lxdbr|incusbr)\d+|br-[0-9a-f]{12}|veth.*|flannel\..*"
)
"""Devices that Docker, Podman, Kubernetes, libvirt, LXC and Incus make for guests of the guest."""


COMMAND = "ip -o addr show 2>/dev/null || hostname -I"
"""List addresses, one a line or all in one."""


def parse(output: str) -> tuple[str, ...]:
    """Return the addresses that others could reach, the most likely one first."""
    rows = [match for match in map(_ROW.match, output.splitlines()) if match]
    wide = [(row["device"], row["address"]) for row in rows if row["scope"] not in {"host", "link"}]
    words = [] if rows else [("", word) for word in output.split()]
    usable = [(device, address) for device, address in wide + words if _is_usable(device, address)]
    return tuple(dict.fromkeys(address for _, address in sorted(usable, key=_rank)))


def _is_usable(device: str, address: str) -> bool:
    try:
        return not ip_address(address).is_link_local and not _INNER.fullmatch(device)
    except ValueError:
        return False


def _rank(row: tuple[str, str]) -> tuple[bool, bool]:
    device, address = row
    return device == "lo", ":" in address
