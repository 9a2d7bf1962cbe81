"""The guest's own addresses: `ip -o addr`, or `hostname -I`, or the tables of the kernel."""

import re
from ipaddress import ip_address

from slipway.monitor.discovery.probes import kernel_addresses

_ROW = re.compile(
    r"^\d+:\s+(?P<device>[^\s@]+)\S*\s+inet6?\s+(?P<address>[^\s/]+)(?:.*?\sscope (?P<scope>\S+))?"
    r"(?P<flags>[^\\]*)"
)
_INNER = re.compile(
    r"(?:docker|podman|cni-podman|cni|virbr|lxcbr|lxdbr|incusbr)\d+|br-[0-9a-f]{12}|veth.*|flannel\..*"
)
"""Devices that Docker, Podman, Kubernetes, libvirt, LXC and Incus make for guests of the guest."""
_PASSING = frozenset({"temporary", "deprecated", "tentative", "dadfailed"})
"""Flags of addresses that are not there for long, or not yet."""


COMMAND = f"ip -o addr show 2>/dev/null || hostname -I 2>/dev/null || {kernel_addresses.COMMAND}"
"""List addresses, one a line or all in one."""


def parse(output: str) -> tuple[str, ...]:
    """Return the addresses that others could reach, the most likely one first."""
    rows = [match for match in map(_ROW.match, output.splitlines()) if match]
    wide = [
        (row["device"], row["address"], not _PASSING.isdisjoint(row["flags"].split()))
        for row in rows
        if row["scope"] not in {"host", "link"}
    ]
    if not rows:
        is_table = "\n" in output.strip()
        found = kernel_addresses.parse(output) if is_table else (("", word) for word in output.split())
        wide = [(device, address, False) for device, address in found]
    usable = sorted((row for row in wide if _is_usable(*row[:2])), key=_rank)
    return tuple(dict.fromkeys(address for _, address, _ in usable))


def _is_usable(device: str, address: str) -> bool:
    try:
        return not ip_address(address).is_link_local and not _INNER.fullmatch(device)
    except ValueError:
        return False


def _rank(row: tuple[str, str, bool]) -> tuple[bool, bool]:
    device, address, is_passing = row
    return device == "lo" or is_passing, ":" in address
