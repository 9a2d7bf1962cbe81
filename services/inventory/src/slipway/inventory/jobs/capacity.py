"""Compares the cores, memory and disk that jobs ask for with those of their nodes. Pure.

Memory and cores of a container are limits: Proxmox takes them whatever the node has. Of disks a storage says
what is free; a thin one takes promises beyond it, until what is really written fills it up.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from slipway.contracts.cluster_facts import NodeFacts, StorageFact
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.job_kinds import JobKind, MigrateArgs, ResizeArgs
from slipway.contracts.jobs import RunJob
from slipway.contracts.message import Id

GIB = 1 << 30
THIN = frozenset({"lvmthin", "zfspool", "zfs", "rbd", "btrfs"})
"""Types of storages that allot what is written, not what was promised."""
_MIB = 1 << 20
_UNITS = (("TiB", 1 << 40), ("GiB", GIB), ("MiB", _MIB))


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The resources that one job asks of one node."""

    cluster: Id
    node: str
    cores: int | None = None
    memory_bytes: int = 0
    disk_bytes: Mapping[str, int] = field(default_factory=dict)
    """By storage; only what it takes beyond its present disks there."""
    is_move: bool = False
    """Whether disks on a shared storage stay where they are."""


def demand_of(command: RunJob) -> Demand | None:
    """Return what a job asks for; None if it asks for nothing that a node can lack."""
    spec, args, target = command.spec, command.args, command.target
    whole = Demand(
        cluster=target.cluster,
        node=target.node,
        cores=spec.cores,
        memory_bytes=(spec.memory or 0) * _MIB,
        disk_bytes=disks_of(spec),
    )
    if command.kind in {JobKind.CREATE, JobKind.CLONE, JobKind.RESTORE}:
        # A restore makes the new disks before the old ones go.
        is_made = command.kind.creates_container and command.finds_container
        return replace(whole, disk_bytes={}) if is_made else whole
    match args:
        case MigrateArgs() if args.target_node != target.node:
            disks = disks_of(spec, onto=args.storage)
            return replace(whole, node=args.target_node, disk_bytes=disks, is_move=True)
        case ResizeArgs():
            return replace(
                whole,
                cores=args.cores,
                memory_bytes=(args.memory or 0) * _MIB,
                disk_bytes=_growth(spec, args.disk),
            )
        case _:
            return None


def disks_of(spec: ContainerSpec, *, onto: str | None = None) -> Mapping[str, int]:
    """Return what a container's disks take, by storage; `onto` is where all of them shall be."""
    totals: Counter[str] = Counter()
    sizes = [(spec.storage, spec.disk)]
    sizes += [(mount.storage, mount.size) for mount in spec.mounts if not mount.is_bind]
    for storage, size in sizes:
        if storage is not None and size is not None:
            totals[onto or storage] += int(size * GIB)
    return totals


def _growth(spec: ContainerSpec, disk: float | None) -> Mapping[str, int]:
    more = int((disk - (spec.disk or 0)) * GIB) if disk is not None else 0
    return {spec.storage: more} if spec.storage is not None and more > 0 else {}


def warnings(commands: Sequence[RunJob], nodes: Mapping[Id, Sequence[NodeFacts]]) -> tuple[str, ...]:
    """Return what nodes lack for jobs, all of them together; `nodes` has the facts of each cluster."""
    demands = [demand for command in commands if (demand := demand_of(command)) is not None]
    facts_by_node = {(cluster, each.node): each for cluster, facts in nodes.items() for each in facts}
    by_node: defaultdict[tuple[Id, str], list[Demand]] = defaultdict(list)
    for each in demands:
        by_node[each.cluster, each.node].append(each)
    lines: list[str] = []
    for place, here in by_node.items():
        if place in facts_by_node:
            lines += [*_sizes(here, facts_by_node[place]), *_disks(here, facts_by_node[place])]
    return tuple(dict.fromkeys(lines))


def _sizes(demands: Sequence[Demand], node: NodeFacts) -> Iterator[str]:
    who = _who(demands)
    memory = sum(each.memory_bytes for each in demands)
    if node.memory_bytes is not None and memory > node.memory_bytes:
        yield f"{who} for {amount(memory)} of memory; node {node.node} has {amount(node.memory_bytes)}."
    cores = max((each.cores or 0 for each in demands), default=0)
    if node.cores is not None and cores > node.cores:
        one = "It asks" if len(demands) == 1 else "One of them asks"
        yield f"{one} for {cores} cores; node {node.node} has {node.cores}."


def _disks(demands: Sequence[Demand], node: NodeFacts) -> Iterator[str]:
    storages = {each.name: each for each in node.storages}
    for name in dict.fromkeys(name for each in demands for name in each.disk_bytes):
        storage = storages.get(name)
        asking = [
            each
            for each in demands
            if name in each.disk_bytes and not (each.is_move and storage is not None and storage.is_shared)
        ]
        if asking:
            yield from _disk(asking, name, storage, node)


def _disk(
    demands: Sequence[Demand], name: str, storage: StorageFact | None, node: NodeFacts
) -> Iterator[str]:
    requested = sum(each.disk_bytes[name] for each in demands)
    if storage is None or storage.free_bytes is None:
        yield f"How much is free on storage {name} of node {node.node} is not known now."
    elif requested > storage.free_bytes:
        of = f" of {amount(storage.total_bytes)}" if storage.total_bytes is not None else ""
        thin = " It takes more than it has, until what is written fills it." if storage.type in THIN else ""
        yield (
            f"{_who(demands)} for {amount(requested)} of disk; storage {name} of node {node.node} has "
            f"{amount(storage.free_bytes)} free{of}.{thin}"
        )


def amount(size_bytes: int) -> str:
    """Return bytes as people say them: `1.5 TiB`."""
    for unit, size in _UNITS:
        if size_bytes >= size:
            return f"{size_bytes / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size_bytes} bytes" if size_bytes else "nothing"


def _who(demands: Sequence[Demand]) -> str:
    return "It asks" if len(demands) == 1 else f"Together {len(demands)} of them ask"
