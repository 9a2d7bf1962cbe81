"""Read a node's certificates: which one its API shows, and which cluster it belongs to.

A Proxmox cluster has one CA for all its nodes, created with the first of them: its fingerprint identifies the
cluster, whatever its name or address.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from slipway.contracts.problems import SlipwayError
from slipway.proxmox.answers import ClusterMember
from slipway.proxmox.api import ProxmoxApi

_CA = "pve-root-ca.pem"
_SHOWN = ("pveproxy-ssl.pem", "pve-ssl.pem")
"""The first of these files that exists: a custom one replaces the cluster's own (PVE's source)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCertificates:
    """A node's certificates; None is unknown."""

    shown: str | None = None
    """SHA-256 of the one that its API shows."""
    identity: str | None = None
    """What identifies its cluster."""


async def read(api: ProxmoxApi, node: str) -> NodeCertificates:
    """Read a node's certificates; an error hides only them."""
    try:
        listed = await api.certificates(node)
    except SlipwayError:
        return NodeCertificates()
    fingerprints = {each.file: each.fingerprint for each in listed if each.fingerprint}
    shown = next((fingerprints[name] for name in _SHOWN if name in fingerprints), None)
    ca = fingerprints.get(_CA)
    return NodeCertificates(shown=shown, identity=f"ca:{ca.upper()}" if ca else None)


def identity_without_ca(members: Iterable[ClusterMember], shown: Iterable[str | None]) -> str | None:
    """Identify a cluster by its name and nodes, a lone node by its certificate."""
    listed = list(members)
    name = next((each.name for each in listed if each.type == "cluster"), None)
    if name is not None:
        nodes = ",".join(sorted(each.name for each in listed if each.type == "node"))
        return f"cluster:{name}:{nodes}"
    return next((f"certificate:{each.upper()}" for each in shown if each), None)
