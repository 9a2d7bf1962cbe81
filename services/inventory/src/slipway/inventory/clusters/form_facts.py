"""What a form chooses from, made of what was seen of a cluster last. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from slipway.contracts.cluster_facts import NodeFacts, StorageFact, VmidRange
from slipway.contracts.clusters import Cluster
from slipway.contracts.form_facts import DownloadableFact, FormFacts, NodeChoices, OsTemplateFact, PoolFact
from slipway.inventory.containers.archives import Archive
from slipway.inventory.containers.defaults import ALL_VMIDS, free_of

PARTS = ("storages", "os_templates", "bridges", "vnets", "pools", "appliances", "gpus", "devices", "vmids")
NOT_SEEN = "Not looked at yet, or not answered: see the node's outage, and the rights of the API token."


def form_facts(cluster: Cluster, next_vmid: int | None) -> FormFacts:
    """Return the choices of a cluster as it was seen last; what all nodes say alike is the newest's."""
    of_pools, of_vnets = _newest(cluster.nodes, "pools"), _newest(cluster.nodes, "vnets")
    return FormFacts(
        cluster=cluster.id,
        name=cluster.name,
        nodes=tuple(_choices(node, cluster.in_maintenance) for node in cluster.nodes),
        pools=tuple(_pools(of_pools.pools)) if of_pools else (),
        knows_pools=of_pools.knows_pools if of_pools else False,
        vnets=of_vnets.vnets if of_vnets else (),
        vmids=range_of(cluster),
        next_vmid=next_vmid,
        looked_at=cluster.looked_at,
        outage=cluster.outage,
    )


def range_of(cluster: Cluster) -> VmidRange:
    """Return the VMIDs that are chosen from in a cluster."""
    return cluster.vmids or ALL_VMIDS


def _newest(nodes: Iterable[NodeFacts], part: str) -> NodeFacts | None:
    return max(nodes, key=lambda node: (part in node.parts_at, node.parts_at.get(part)), default=None)


def _choices(node: NodeFacts, in_maintenance: Iterable[str]) -> NodeChoices:
    there = {volume.rpartition("/")[2] for volume in node.os_templates}
    return NodeChoices(
        node=node.node,
        is_online=node.is_online,
        in_maintenance=node.node in in_maintenance,
        architecture=node.architecture,
        cores=node.cores,
        memory_bytes=node.memory_bytes,
        storages=node.storages,
        storages_for=_by_content(node.storages),
        bridges=node.bridges,
        os_templates=tuple(
            _os_template(volume, node.os_template_sizes.get(volume)) for volume in node.os_templates
        ),
        downloadable=tuple(_downloadable(name, is_there=name in there) for name in node.appliances),
        gpus=node.gpus,
        devices=node.devices,
        folders=node.folders,
        looked_at=node.parts_at,
        unknown=_unknown(node),
    )


def _by_content(storages: Iterable[StorageFact]) -> Mapping[str, tuple[str, ...]]:
    able: defaultdict[str, list[str]] = defaultdict(list)
    for storage in sorted(storages, key=lambda each: (-free_of(each), each.name)):
        for content in storage.content if storage.is_active else ():
            able[content].append(storage.name)
    return {content: tuple(names) for content, names in sorted(able.items())}


def _os_template(volume: str, size_bytes: int | None) -> OsTemplateFact:
    archive = Archive(volume)
    return OsTemplateFact(
        volume=volume,
        storage=volume.partition(":")[0],
        size_bytes=size_bytes,
        package=archive.package,
        version=archive.version,
        architecture=archive.architecture,
    )


def _downloadable(name: str, *, is_there: bool) -> DownloadableFact:
    archive = Archive(name)
    return DownloadableFact(
        name=name,
        package=archive.package,
        version=archive.version,
        architecture=archive.architecture,
        is_there=is_there,
    )


def _pools(names: Iterable[str]) -> Iterable[PoolFact]:
    return (PoolFact(name=name, parent=name.rpartition("/")[0] or None) for name in sorted(names))


def _unknown(node: NodeFacts) -> Mapping[str, str]:
    reasons = {part: NOT_SEEN for part in PARTS if part not in node.parts_at}
    return reasons | ({"devices": node.devices_problem} if node.devices_problem else {})
