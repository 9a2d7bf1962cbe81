"""Adds the age and the outage to stored clusters, nodes and containers. Pure.

The last observation itself stays unchanged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import NamedTuple, Protocol

from slipway.contracts.cluster_facts import ClusterLook, NodeFacts, NodeLook
from slipway.contracts.clusters import Cluster
from slipway.contracts.message import Moment
from slipway.contracts.values import Lifecycle, Outage

AWAY = frozenset({"node.offline", "node.no-answer", "node.gone"})
"""Outages of a node on which nothing can be done now."""
GONE = "node.gone"
DROP_GONE_AFTER = timedelta(minutes=15)
"""For so long a node that left its cluster is shown as such."""
_READABLE = frozenset({"cluster.privilege-missing", "cluster.no-quorum"})
"""Outages of a cluster whose nodes and guests are looked at nevertheless."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """The newest look at a cluster; a list asks it for every container."""

    look: ClusterLook | None = None
    vmids: frozenset[int] = frozenset()
    """The containers that the look saw."""
    silence: Outage | None = None
    """Set when the look is too old to be believed."""

    @cached_property
    def outage(self) -> Outage | None:
        """The outage of the cluster."""
        return self.silence or (self.look.outage if self.look else None)

    @cached_property
    def blindness(self) -> Outage | None:
        """The outage that hides its nodes and guests."""
        outage = self.outage
        return outage if outage is not None and outage.code not in _READABLE else None

    @cached_property
    def nodes(self) -> Mapping[str, NodeLook]:
        """The looks at its nodes, by name."""
        return {each.node: each for each in self.look.nodes} if self.look else {}


class StoredContainer(Protocol):
    """What is stored of a container, as far as it matters here."""

    @property
    def lifecycle(self) -> str:
        """A `Lifecycle`."""

    @property
    def node(self) -> str:
        """The one that it was last seen on."""

    @property
    def vmid(self) -> int:
        """Its own."""

    @property
    def observed_at(self) -> Moment | None:
        """When its power last changed."""


class ContainerSight(NamedTuple):
    """What monitor's looks say of a container."""

    looked_at: Moment | None = None
    outage: Outage | None = None


def cluster_seen(cluster: Cluster, sight: Sight) -> Cluster:
    """Return a cluster with the age of what is known of it."""
    looked_at = sight.look.looked_at if sight.look else None
    nodes = tuple(node_seen(node, sight) for node in cluster.nodes)
    return cluster.model_copy(update={"looked_at": looked_at, "outage": sight.outage, "nodes": nodes})


def node_seen(node: NodeFacts, sight: Sight) -> NodeFacts:
    """Return a node's facts with their age."""
    seen = sight.nodes.get(node.node)
    if seen is None:
        left = sight.look is not None and bool(sight.look.nodes)
        outage = sight.blindness or (_gone(node.node, node.observed_at) if left else node.outage)
        return node.model_copy(update={"outage": outage, "is_online": node.is_online and not left})
    storages = tuple(
        each.model_copy(update={"looked_at": seen.storages_at or each.looked_at}) for each in node.storages
    )
    changes = {
        "is_online": seen.is_online,
        "looked_at": seen.looked_at,
        "outage": seen.outage or sight.blindness,
        "storages": storages,
        "parts_at": {**node.parts_at, **seen.parts_at},
    }
    return node.model_copy(update=changes)


def container_seen(container: StoredContainer, sight: Sight, *, left_at: Moment | None) -> ContainerSight:
    """Return when a container was last seen, and what hides it now.

    Args:
        container: as it is stored.
        sight: what is known of its cluster.
        left_at: when it was last in a look that it is not in any more, if that is known.
    """
    if container.lifecycle == Lifecycle.DELETED:
        return ContainerSight()
    if sight.look is None:
        return ContainerSight(outage=sight.silence)
    node = sight.nodes.get(container.node)
    is_listed = container.vmid in sight.vmids
    looked_at = sight.look.looked_at if is_listed else left_at or container.observed_at
    outage = sight.blindness or _of_node(container, node, sight.look)
    if outage is None and not is_listed and container.lifecycle != Lifecycle.CREATING:
        outage = sight.outage
    if node is not None and _is_away(node.outage):
        looked_at = min((at for at in (looked_at, node.looked_at) if at is not None), default=None)
    return ContainerSight(looked_at, outage)


def is_away(node: NodeFacts) -> bool:
    """Return whether nothing can be done on a node now."""
    return not node.is_online or _is_away(node.outage)


def is_over(node: NodeFacts) -> bool:
    """Return whether a node has left its cluster for so long that it needn't be shown any more."""
    outage = node.outage
    if outage is None or outage.code != GONE:
        return False
    return node.observed_at - outage.since >= DROP_GONE_AFTER


def over_stored(seen: NodeFacts, stored: NodeFacts) -> NodeFacts:
    """Return a node as a test saw it; what it could not read in time stays as it is stored."""
    read = (
        *("storages", "bridges", "os_templates", "os_template_sizes", "appliances", "architecture"),
        *("vnets", "gpus", "devices", "folders"),
    )
    last = {name: getattr(stored, name) for name in read if not getattr(seen, name)}
    return seen.model_copy(update={**last, "parts_at": {**stored.parts_at, **seen.parts_at}})


def silence(cluster: str, since: Moment, *, has_looked: bool) -> Outage:
    """Return the outage of a cluster of which monitor reports nothing."""
    what = "has not looked at" if has_looked else "has reported nothing of"
    return Outage(
        code="monitor.silent",
        since=since,
        message=f"The service monitor {what} cluster {cluster} since then; what was seen last is shown.",
        remedy="See whether monitor runs and reaches the bus: its /readyz, and its log.",
    )


def _of_node(container: StoredContainer, node: NodeLook | None, look: ClusterLook) -> Outage | None:
    if node is None:
        return _gone(container.node, container.observed_at or look.at) if look.nodes else None
    return node.outage if _is_away(node.outage) else None


def _gone(node: str, since: Moment) -> Outage:
    return Outage(
        code=GONE,
        since=since,
        message=f"The cluster has no node {node} any more.",
        remedy="If it left or was renamed, nothing has to be done. Containers that went with it can be "
        "forgotten: POST /api/v1/containers/{id}/forget.",
    )


def _is_away(outage: Outage | None) -> bool:
    return outage is not None and outage.code in AWAY


def vmids_of(look: ClusterLook) -> frozenset[int]:
    """Return the containers that a look saw."""
    return frozenset(vmid for each in look.guests for vmid in range(each.first, each.last + 1))
