"""What is known of nodes: asked from the API, and tried over SSH. Never changes anything."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from slipway.contracts.clusters import BridgeFact, NodeFacts, StorageFact
from slipway.contracts.message import Moment
from slipway.contracts.problems import SlipwayError
from slipway.monitor import certificates
from slipway.proxmox.answers import Bridge, ClusterMember, Node, Storage
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.errors import NodeUnreachable
from slipway.proxmox.ssh import NodeShell
from slipway.runtime import clock
from slipway.runtime.logs import get_logger

log = get_logger()

NODES_AT_ONCE = 4
NODE_SECONDS = 12.0
STORAGE_SECONDS = 6.0
SSH_TIMEOUT = timedelta(seconds=8)
_FIND_PCT = ("sh", "-c", "command -v pct")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReading:
    """One node's facts, and why they are not whole if they are not."""

    facts: NodeFacts
    problem: SlipwayError | None = None


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
        node_seconds: How long a node may take.
    """
    members, resources, pools = await asyncio.gather(api.cluster_status(), api.resources(), _pools(api))
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
        _ssh_problem(shell, without_shell), _try_answers(api, facts, around.node_seconds)
    )
    usable = {"ssh_problem": ssh, "is_ssh_usable": ssh is None}
    return NodeReading(facts=told.facts.model_copy(update=usable), problem=told.problem)


async def _try_answers(api: ProxmoxApi, facts: NodeFacts, seconds: float) -> NodeReading:
    try:
        async with asyncio.timeout(seconds):
            return NodeReading(facts=await _answers(api, facts))
    except SlipwayError as error:
        problem = error
    except TimeoutError:
        problem = NodeUnreachable(f"{facts.node} did not answer within {seconds:g} s.", path="/")
    is_online = facts.is_online and not isinstance(problem, NodeUnreachable)
    return NodeReading(facts=facts.model_copy(update={"is_online": is_online}), problem=problem)


async def _answers(api: ProxmoxApi, facts: NodeFacts) -> NodeFacts:
    storages, bridges, appliances, certified = await asyncio.gather(
        api.storages(facts.node),
        api.networks(facts.node),
        api.appliances(facts.node),
        certificates.read(api, facts.node),
    )
    archives = await _archives(api, facts.node, storages)
    return facts.model_copy(
        update={
            "storages": tuple(sorted(map(_storage, storages), key=lambda each: each.name)),
            "bridges": tuple(sorted(map(_bridge, bridges), key=lambda each: each.name)),
            "os_templates": archives,
            "appliances": tuple(sorted(each.template for each in appliances)),
            "tls_fingerprint": certified.shown,
            "cluster_identity": certified.identity,
        }
    )


async def _archives(api: ProxmoxApi, node: str, storages: tuple[Storage, ...]) -> tuple[str, ...]:
    holding = [each.name for each in storages if "vztmpl" in each.content and each.active and each.enabled]
    found = await asyncio.gather(*(_volumes(api, node, name) for name in holding))
    return tuple(sorted(volume for volumes in found for volume in volumes))


async def _volumes(api: ProxmoxApi, node: str, storage: str) -> tuple[str, ...]:
    """The archives of one storage; one that does not answer hides only its own."""
    try:
        async with asyncio.timeout(STORAGE_SECONDS):
            return tuple(volume.volid for volume in await api.content(node, storage, kind="vztmpl"))
    except (SlipwayError, TimeoutError) as error:
        log.warning("storage not listed", node=node, storage=storage, reason=str(error))
        return ()


def _storage(storage: Storage) -> StorageFact:
    return StorageFact(
        name=storage.name,
        type=storage.type,
        content=storage.content,
        is_active=storage.active and storage.enabled,
        is_shared=storage.shared,
        free_bytes=storage.avail,
        total_bytes=storage.total,
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
