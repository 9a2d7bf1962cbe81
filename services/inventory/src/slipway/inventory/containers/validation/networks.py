"""Checks network devices, by themselves and on a node. Pure; every fault names its field."""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from math import inf

from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.container_specs import NetworkSpec
from slipway.contracts.problems import FieldError
from slipway.inventory.containers.validation.texts import is_address, shown

MOST_NETWORKS = 32
"""Proxmox numbers `net0` to `net31`."""
_CIDR = re.compile(r"[0-9A-Fa-f:.]{2,45}/[0-9]{1,9}")
"""Without a scope (`%...`): Python takes any text there."""
_MAC = re.compile(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,15}")
_NO_NAMES = frozenset({".", "..", "lo"})
_BRIDGE = re.compile(r"[a-zA-Z0-9_.-]+")
_TAG = re.compile(r"[0-9]{1,9}")
_LEAST_PREFIX = 8
"""Proxmox takes no wider network, of IPv4 as of IPv6 (PVE::JSONSchema 9.2, `pve_verify_cidrv4`)."""
VLANS = range(1, 4095)
_MTUS = range(64, 65536)

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def faults(networks: Sequence[NetworkSpec]) -> Iterator[FieldError]:
    """Return faults that count on every node."""
    if len(networks) > MOST_NETWORKS:
        yield FieldError(field="networks", message=f"At most {MOST_NETWORKS}.")
    seen: set[str] = set()
    for index, network in enumerate(networks[:MOST_NETWORKS]):
        at = f"networks.{index}"
        name = network.name or f"eth{index}"
        if name in seen:
            yield FieldError(field=f"{at}.name", message=f"There is a {shown(name)} before it.")
        seen.add(name)
        yield from _addresses(network, at)
        yield from _link(network, at)


def bridges(networks: Sequence[NetworkSpec], node: NodeFacts) -> Iterator[FieldError]:
    """Return the bridges that a node does not have."""
    bridges_here = sorted(bridge.name for bridge in node.bridges)
    for index, network in enumerate(networks):
        if network.bridge is not None and network.bridge not in bridges_here:
            message = f"Node {node.node} has no bridge {shown(network.bridge)}: {', '.join(bridges_here)}."
            yield FieldError(field=f"networks.{index}.bridge", message=message)


def _addresses(network: NetworkSpec, at: str) -> Iterator[FieldError]:
    four = {"dhcp", "manual"}
    six = {"auto", "dhcp", "manual"}
    yield from _address(network.ip, network.gw, at=at, suffix="", keywords=four)
    yield from _address(network.ip6, network.gw6, at=at, suffix="6", keywords=six)


def _link(network: NetworkSpec, at: str) -> Iterator[FieldError]:
    checks = (
        ("bridge", _BRIDGE, "A bridge's name is like vmbr0."),
        ("hwaddr", _MAC, "A MAC address is like BC:24:11:00:00:01."),
        ("name", _NAME, "An interface's name has up to 15 ASCII letters, digits, . _ and -: Linux's limit."),
    )
    for name, pattern, right in checks:
        value = getattr(network, name)
        if value is not None and not pattern.fullmatch(value):
            yield FieldError(field=f"{at}.{name}", message=right)
    if network.name in _NO_NAMES:
        yield FieldError(field=f"{at}.name", message=f"Linux keeps {network.name} for itself.")
    if network.hwaddr is not None and network.hwaddr[1:2] in tuple("13579bdfBDF"):
        yield FieldError(field=f"{at}.hwaddr", message="That is a multicast address.")
    if network.tag and network.tag not in VLANS:
        yield FieldError(field=f"{at}.tag", message="A VLAN tag is 1 to 4094.")
    if network.trunks and not _are_vlans(network.trunks):
        yield FieldError(field=f"{at}.trunks", message="VLAN tags, 1 to 4094, separated by semicolons.")
    if network.mtu and network.mtu not in _MTUS:
        yield FieldError(field=f"{at}.mtu", message="An MTU is 64 to 65535.")
    if network.rate and not 0 < network.rate < inf:
        yield FieldError(field=f"{at}.rate", message="MB/s, more than 0.")


def _are_vlans(text: str) -> bool:
    tags = text.split(";")
    return len(tags) < len(VLANS) and all(_TAG.fullmatch(tag) and int(tag) in VLANS for tag in tags)


def _address(
    address: str | None, gateway: str | None, *, at: str, suffix: str, keywords: set[str]
) -> Iterator[FieldError]:
    field, gateway_field = f"{at}.ip{suffix}", f"{at}.gw{suffix}"
    if address is None or address in keywords:
        if gateway is not None:
            message = (
                "A gateway needs a fixed address beside it: with dhcp, auto or manual, Proxmox sets Debian "
                "and Alpine up without it."
            )
            yield FieldError(field=gateway_field, message=message)
        return
    interface = _interface(address, version=int(suffix or "4"))
    if interface is None:
        example = "fd00::5/64" if suffix else "10.0.0.5/24"
        subject = f"{shown(address)} is not an address with prefix length like {example}"
        yield FieldError(field=field, message=f"{subject}, nor one of {', '.join(sorted(keywords))}.")
    elif interface.network.prefixlen < _LEAST_PREFIX:
        yield FieldError(field=field, message=f"Proxmox takes no prefix length below {_LEAST_PREFIX}.")
    elif gateway is not None and not is_address(gateway, version=interface.version):
        message = f"{shown(gateway)} is not an IPv{interface.version} address."
        yield FieldError(field=gateway_field, message=message)


def _interface(text: str, *, version: int) -> Interface | None:
    if not _CIDR.fullmatch(text):
        return None
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        return None
    return interface if interface.version == version else None
