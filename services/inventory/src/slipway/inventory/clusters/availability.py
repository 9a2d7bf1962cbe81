"""Whether a VMID, a name or an address is free for a new container, by claims and facts. Pure."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_interface

from slipway.contracts.clusters import Cluster
from slipway.contracts.form_facts import Availability, Holder
from slipway.inventory.clusters.form_facts import range_of
from slipway.inventory.containers.defaults import FIRST_VMID, LAST_VMID
from slipway.inventory.containers.validation import texts

Interface = IPv4Interface | IPv6Interface
_LONGEST_VMID = 9
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?")
"""Python would take a netmask and a scope (`%...`) as well."""
_POINT_TO_POINT = 2
"""Bits of host in the smallest network that has an address of its own and one for all."""


def read_vmid(text: str | None) -> int | None:
    """Return a VMID; None if it can be none."""
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > _LONGEST_VMID:
        return None
    return int(text) if FIRST_VMID <= int(text) <= LAST_VMID else None


def read_address(text: str | None) -> Interface | None:
    """Return an address, with its prefix length if it has one; None if it can be none."""
    if text is None or not _ADDRESS.fullmatch(text):
        return None
    try:
        return ip_interface(text)
    except ValueError:
        return None


def of_vmid(text: str, cluster: Cluster, holder: Holder | None) -> Availability:
    """Return whether a VMID is free."""
    vmid = read_vmid(text)
    if vmid is None:
        message = f"{texts.shown(text)} is no VMID: those are whole numbers from {FIRST_VMID} to {LAST_VMID}."
        return Availability(
            value=text, state="invalid", message=message, remedy="Leave it out to get a free one."
        )
    if holder is None and any(vmid in node.vmids for node in cluster.nodes):
        holder = Holder(kind="guest", vmid=vmid)
    if holder is not None:
        remedy = "Choose another one, or leave it out to get a free one."
        return Availability(
            value=text, state="taken", message=f"{_who(holder)} has it.", remedy=remedy, by=holder
        )
    within = range_of(cluster)
    is_within = within.first <= vmid <= within.last
    note = (
        "" if is_within else f"It is outside of {within.first} to {within.last}, which Slipway chooses from."
    )
    return Availability(value=text, state="free", message=note)


def of_hostname(text: str, holder: Holder | None) -> Availability:
    """Return whether a name is free."""
    fault = texts.hostname(text)
    if fault is not None:
        return Availability(value=text, state="invalid", message=fault, remedy="Choose a name like web-1.")
    if holder is not None:
        remedy = "Choose another name, or delete that container."
        return Availability(
            value=text, state="taken", message=f"{_who(holder)} has it.", remedy=remedy, by=holder
        )
    return Availability(value=text, state="free")


def of_address(text: str, cluster: Cluster, holder: Holder | None) -> Availability:
    """Return whether an address is free, as far as Slipway can know: others may use it outside of Proxmox."""
    address = read_address(text)
    if address is None:
        message = f"{texts.shown(text)} is no IP address."
        return Availability(
            value=text, state="invalid", message=message, remedy="Write it like 10.0.0.5 or 10.0.0.5/24."
        )
    if fault := _fault(address, cluster):
        return Availability(
            value=text, state="invalid", message=fault, remedy="Choose another one of the network."
        )
    holder = holder or next(_hosts(address, cluster), None)
    if holder is not None:
        remedy = "Choose another one."
        return Availability(
            value=text, state="taken", message=f"{_who(holder)} has it.", remedy=remedy, by=holder
        )
    return Availability(value=text, state="free", message=_note(address, cluster))


def _fault(address: Interface, cluster: Cluster) -> str | None:
    ip, network = address.ip, address.network
    is_ours = any(ip in network for network in _networks(address, cluster))
    if ip.is_unspecified or ip.is_multicast or (ip.is_loopback and not is_ours):
        return f"{ip} is not the address of a host."
    if network.max_prefixlen - network.prefixlen < _POINT_TO_POINT or address.version != 4:  # noqa: PLR2004
        return None
    if ip in (network.network_address, network.broadcast_address):
        return f"{ip} is the network {network} itself, or all of its hosts."
    return None


def _hosts(address: Interface, cluster: Cluster) -> Iterator[Holder]:
    """Yield the nodes and bridges that have an address."""
    for node in cluster.nodes:
        if (own := read_address(node.address)) and own.ip == address.ip:
            yield Holder(kind="node", name=node.node, node=node.node)
        for bridge in node.bridges:
            if any((own := read_address(each)) and own.ip == address.ip for each in bridge.subnets):
                yield Holder(kind="bridge", name=bridge.name, node=node.node)


def _note(address: Interface, cluster: Cluster) -> str:
    known = _networks(address, cluster)
    if known and not any(address.ip in network for network in known):
        return f"It is in none of the bridges' networks: {', '.join(sorted(map(str, known)))}."
    return ""


def _networks(address: Interface, cluster: Cluster) -> set[IPv4Network | IPv6Network]:
    """Return the networks of all bridges, of the address's version."""
    subnets = (read_address(each) for node in cluster.nodes for one in node.bridges for each in one.subnets)
    return {each.network for each in subnets if each and each.version == address.version}


def _who(holder: Holder) -> str:
    match holder.kind:
        case "container":
            return f"Container {holder.vmid} ({holder.name}) on {holder.node}"
        case "job":
            return f"Job {holder.id}, which renames a container,"
        case "guest":
            return f"Guest {holder.vmid}, which Slipway does not manage,"
        case "node":
            return f"Node {holder.name}"
        case "bridge":
            return f"Bridge {holder.name} of node {holder.node}"
