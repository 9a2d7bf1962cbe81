"""Which node a container goes to. Pure."""

from collections.abc import Collection, Sequence

from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.container_specs import ContainerSpec
from slipway.inventory.containers.defaults import FactsMissing, NodeUnknown, disk_storages, free_of
from slipway.inventory.containers.sight import is_away
from slipway.inventory.faults import at

_GIB = 1 << 30


def choose_node(
    requested: str | None,
    nodes: Sequence[NodeFacts],
    *,
    storages: Collection[str] = (),
    bridges: Collection[str] = (),
    in_maintenance: Collection[str] = (),
) -> NodeFacts:
    """Choose the node: the requested one, else a usable one.

    One that has all named storages and bridges goes before one that lacks one, then one that is not in
    maintenance, then the one with most free space for disks.
    """
    if requested is not None:
        node = next((each for each in nodes if each.node == requested), None)
        if node is None:
            names = ", ".join(each.node for each in nodes) or "none"
            raise at("node", NodeUnknown, f"The cluster has no node {requested!r}. Known ones: {names}.")
        return _usable(node)
    usable = [node for node in nodes if node.is_ssh_usable and not is_away(node)]
    if not usable:
        outages = "; ".join(each.outage.message for each in nodes if each.outage is not None)
        message = "No node of the cluster is online, answers, and is reachable over SSH now."
        raise FactsMissing(f"{message} {outages}".strip())

    def fitness(node: NodeFacts) -> tuple[bool, bool, int, str]:
        able = disk_storages(node)
        has_all = set(storages) <= {each.name for each in able}
        has_all = has_all and set(bridges) <= {each.name for each in node.bridges}
        free = max((free_of(each) for each in able), default=-1)
        return has_all, node.node not in in_maintenance, free, node.node

    return max(usable, key=fitness)


def after(nodes: Sequence[NodeFacts], spec: ContainerSpec) -> list[NodeFacts]:
    """Return the nodes as they are once a complete container is on its node: with less space for the next."""
    return [_with_less(node, spec) if node.node == spec.node else node for node in nodes]


def named_storages(spec: ContainerSpec) -> frozenset[str]:
    """Return the storages that a container's disks are to be on, as far as it says."""
    storages = (spec.storage, *(mount.storage for mount in spec.mounts if not mount.is_bind))
    return frozenset(storage for storage in storages if storage is not None)


def _with_less(node: NodeFacts, spec: ContainerSpec) -> NodeFacts:
    taken = int((spec.disk or 0) * _GIB)
    storages = tuple(
        each.model_copy(update={"free_bytes": each.free_bytes - taken})
        if each.name == spec.storage and each.free_bytes is not None
        else each
        for each in node.storages
    )
    return node.model_copy(update={"storages": storages})


def _usable(node: NodeFacts) -> NodeFacts:
    if node.outage is not None and is_away(node):
        raise FactsMissing(f"{node.outage.message} {node.outage.remedy}")
    if not node.is_online:
        raise FactsMissing(f"Node {node.node} is offline since it was last seen at {node.observed_at}.")
    if not node.is_ssh_usable:
        why = node.ssh_problem or "its host key is not confirmed"
        raise FactsMissing(f"Node {node.node} can't be used over SSH: {why}.")
    return node
