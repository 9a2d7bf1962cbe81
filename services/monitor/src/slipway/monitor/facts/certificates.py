"""What a node's certificates say: which one its API shows, and which cluster it belongs to.

A Proxmox cluster has one CA for all its nodes, made when the first of them was installed: its fingerprint is
what tells the cluster from any other, by whichever name or address it is reached.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from slipway.contracts.problems import SlipwayError
from slipway.proxmox.answers import ClusterMember
from slipway.proxmox.api import ProxmoxApi

_CA = "pve-root-ca.pem"
_SHOWN = ("pveproxy-ssl.pem", "pve-ssl.pem")
"""The first of these that there is: a custom one takes the place of the cluster's own (PVE's source)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCertificates:
    """What is known of a node's certificates; None is not known."""

    shown: str | None = None
    """SHA-256 of the one that its API shows."""
    identity: str | None = None
    """What tells its cluster from any other."""


async def read(api: ProxmoxApi, node: str) -> NodeCertificates:
    """Read a node's certificates; an error hides only them."""
    try:
        listed = await api.certificates(node)
    except SlipwayError:
        return NodeCertificates()
    known = {each.file: each.fingerprint for each in listed if each.fingerprint}
    shown = next((known[name] for name in _SHOWN if name in known), None)
    ca = known.get(_CA)
    return NodeCertificates(shown=shown, identity=f"ca:{ca.upper()}" if ca else None)


def identity_without_ca(members: Iterable[ClusterMember], shown: Iterable[str | None]) -> str | None:
    """Tell a cluster from any other by its name and nodes, a lone node by its certificate."""
    told = list(members)
    name = next((each.name for each in told if each.type == "cluster"), None)
    if name is not None:
        nodes = ",".join(sorted(each.name for each in told if each.type == "node"))
        return f"cluster:{name}:{nodes}"
    return next((f"certificate:{each.upper()}" for each in shown if each), None)
