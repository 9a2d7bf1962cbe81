"""What is known of nodes: asked from the API, and tried over SSH. Never changes anything.

Every question has a deadline of its own: what is not answered is named, and hides nothing else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from slipway.contracts.clusters import BridgeFact, NodeFacts, StorageFact
from slipway.contracts.message import Moment
from slipway.contracts.problems import SlipwayError
from slipway.monitor.facts import certificates
from slipway.proxmox.answers import Bridge, ClusterMember, Node, Storage
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.ssh import NodeShell
from slipway.runtime.process import clock
from slipway.runtime.process.logs import get_logger

log = get_logger()
ResultT = TypeVar("ResultT")

NODES_AT_ONCE = 8
AROUND = timedelta(seconds=5)
"""For what the cluster says of all nodes at once."""
NODE_SECONDS = 8.0
"""For storages, bridges and downloads of a node, each."""
STORAGE = timedelta(seconds=5)
"""For the archives on one storage."""
SSH_TIMEOUT = timedelta(seconds=8)
STORAGES_AT_ONCE = 3
_FIND_PCT = ("sh", "-c", "command -v pct")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReading:
    """One node's facts, and why they are not whole if they are not."""

    facts: NodeFacts
    problem: SlipwayError | None = None
    """Set when the node, called online, answered nothing at all."""
    unanswered: Mapping[str, SlipwayError] = field(default_factory=dict)
    """`storages`, `networks` or `appliances` to why it is not known now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pools:
    """The pools that are seen, and whether there are no others."""

    names: tuple[str, ...] = ()
    are_all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surroundings:
    """What the cluster says of all nodes at once."""

    vmids: tuple[int, ...]
    pools: _Pools
    node_seconds: float
    nodes: Mapping[str, Node]
    now: Moment


async def read(
    api: ProxmoxApi,
    shells: Mapping[str, NodeShell],
    *,
    without_shell: str,
    node_seconds: float = NODE_SECONDS,
) -> tuple[NodeReading, ...]:
    """Read the facts of every node of a cluster.

    Args:
        api: The cluster.
        shells: Those nodes that can be reached by SSH.
        without_shell: Why the others can't be.
        node_seconds: How long a node may take for each question.
    """
    quick = api.within(AROUND)
    members, resources, pools = await asyncio.gather(quick.cluster_status(), quick.resources(), _pools(quick))
    around = _Surroundings(
        vmids=tuple(sorted(guest.vmid for guest in resources.guests)),
        pools=pools,
        node_seconds=node_seconds,
        nodes={node.name: node for node in resources.nodes},
        now=clock.now(),
    )
    free = asyncio.Semaphore(NODES_AT_ONCE)

    async def one(member: ClusterMember) -> NodeReading:
        async with free:
            return await _node(api, member, around, shells.get(member.name), without_shell)

    async with asyncio.TaskGroup() as group:
        reading = [group.create_task(one(member)) for member in members if member.type == "node"]
    return tuple(sorted((task.result() for task in reading), key=lambda each: each.facts.node))


async def _pools(api: ProxmoxApi) -> _Pools:
    """The pools that there are, and whether the asker may see all; an error hides only them."""
    try:
        names, held = await asyncio.gather(api.pools(), api.permissions())
    except SlipwayError as error:
        log.warning("pools not listed", reason=error.message)
        return _Pools()
    sees_all = any("Pool.Audit" in held.get(path, ()) for path in ("/", "/pool"))
    return _Pools(names=tuple(sorted(names)), are_all=sees_all)


async def _node(
    api: ProxmoxApi,
    member: ClusterMember,
    around: _Surroundings,
    shell: NodeShell | None,
    without_shell: str,
) -> NodeReading:
    known = around.nodes.get(member.name)
    facts = NodeFacts(
        node=member.name,
        is_online=member.online is not False,
        address=member.ip,
        cores=known.maxcpu if known else None,
        memory_bytes=known.maxmem if known else None,
        vmids=around.vmids,
        pools=around.pools.names,
        knows_pools=around.pools.are_all,
        observed_at=around.now,
        ssh_problem=without_shell,
    )
    if not facts.is_online:
        return NodeReading(facts=facts.model_copy(update={"ssh_problem": f"{member.name} is offline."}))
    ssh, told = await asyncio.gather(
        _ssh_problem(shell, without_shell), _answers(api, facts, timedelta(seconds=around.node_seconds))
    )
    return replace(
        told, facts=told.facts.model_copy(update={"ssh_problem": ssh, "is_ssh_usable": ssh is None})
    )


async def _answers(api: ProxmoxApi, facts: NodeFacts, within: timedelta) -> NodeReading:
    node, asking = facts.node, api.within(within)
    storages, bridges, appliances, certified = await asyncio.gather(
        _tried(lambda: asking.storages(node)),
        _tried(lambda: asking.networks(node)),
        _tried(lambda: asking.appliances(node)),
        certificates.read(asking, node),
    )
    found: dict[str, object] = {}
    unanswered: dict[str, SlipwayError] = {}
    if isinstance(storages, SlipwayError):
        unanswered["storages"] = storages
    else:
        found["storages"] = _storages(storages)
        found["os_templates"] = await _archives(api, node, storages)
    if isinstance(bridges, SlipwayError):
        unanswered["networks"] = bridges
    else:
        found["bridges"] = tuple(sorted(map(_bridge, bridges), key=lambda each: each.name))
    if isinstance(appliances, SlipwayError):
        unanswered["appliances"] = appliances
    else:
        found["appliances"] = tuple(sorted(each.template for each in appliances))
    shown = {"tls_fingerprint": certified.shown, "cluster_identity": certified.identity}
    return NodeReading(
        facts=facts.model_copy(update=found | shown),
        problem=None if found else unanswered["storages"],
        unanswered=unanswered,
    )


async def _tried(question: Callable[[], Awaitable[ResultT]]) -> ResultT | SlipwayError:
    """Give the answer, or why there is none."""
    try:
        return await question()
    except SlipwayError as error:
        return error


async def _archives(api: ProxmoxApi, node: str, storages: tuple[Storage, ...]) -> tuple[str, ...]:
    holding = [each.name for each in storages if "vztmpl" in each.content and each.active and each.enabled]
    free = asyncio.Semaphore(STORAGES_AT_ONCE)
    found = await asyncio.gather(*(_volumes(api, node, name, free) for name in holding))
    return tuple(sorted(volume for volumes in found for volume in volumes))


async def _volumes(api: ProxmoxApi, node: str, storage: str, free: asyncio.Semaphore) -> tuple[str, ...]:
    """The archives of one storage; one that does not answer hides only its own."""
    try:
        async with free:
            return tuple(
                volume.volid for volume in await api.within(STORAGE).content(node, storage, kind="vztmpl")
            )
    except SlipwayError as error:
        log.warning("storage not listed", node=node, storage=storage, reason=error.message)
        return ()


def _storages(storages: Iterable[Storage]) -> tuple[StorageFact, ...]:
    now = clock.now()
    return tuple(sorted((_storage(each, now) for each in storages), key=lambda each: each.name))


def _storage(storage: Storage, now: Moment) -> StorageFact:
    return StorageFact(
        name=storage.name,
        type=storage.type,
        content=storage.content,
        is_active=storage.active and storage.enabled,
        is_shared=storage.shared,
        free_bytes=storage.avail,
        total_bytes=storage.total,
        looked_at=now,
    )


def _bridge(bridge: Bridge) -> BridgeFact:
    return BridgeFact(name=bridge.name, subnets=tuple(each for each in (bridge.cidr, bridge.cidr6) if each))


async def _ssh_problem(shell: NodeShell | None, without_shell: str) -> str | None:
    if shell is None:
        return without_shell
    try:
        found = await shell.run(_FIND_PCT, timeout=SSH_TIMEOUT)
    except SlipwayError as error:
        return error.message
    if found.exit_code != 0:
        return f"The SSH login to {shell.node} finds no `pct`; it has to be root's on a Proxmox node."
    return None
