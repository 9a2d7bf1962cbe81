"""Read the facts of nodes over the API, and try SSH. Never changes anything.

Every question has a deadline of its own; one without an answer is named and hides nothing else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import TypeVar

from slipway.contracts.cluster_facts import BridgeFact, NodeFacts, StorageFact
from slipway.contracts.problems import SlipwayError
from slipway.monitor.facts import certificates
from slipway.proxmox.answers import Bridge, ClusterMember, Storage
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.login import check_login
from slipway.proxmox.ssh import NodeShell
from slipway.runtime.process import clock
from slipway.runtime.process.logs import get_logger

log = get_logger()
ResultT = TypeVar("ResultT")

NODES_AT_ONCE = 8
CLUSTER_TIMEOUT = timedelta(seconds=5)
"""For questions about all nodes at once."""
NODE_TIMEOUT = timedelta(seconds=8)
"""For each of storages, bridges and downloads of a node."""
STORAGE_TIMEOUT = timedelta(seconds=5)
"""For the archives of one storage."""
SSH_TIMEOUT = timedelta(seconds=8)
STORAGES_AT_ONCE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LastingFacts:
    """What changes so seldom that a node is seldom asked for it."""

    appliances: tuple[str, ...]
    """What it can download: a list of hundreds."""
    architecture: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReading:
    """One node's facts, and the errors of what is missing in them."""

    facts: NodeFacts
    problem: SlipwayError | None = None
    """Set when the node, called online, answered nothing at all."""
    unanswered: Mapping[str, SlipwayError] = field(default_factory=dict)
    """The error of each of `storages`, `networks` and `appliances` that was not answered."""


async def read(
    api: ProxmoxApi,
    shells: Mapping[str, NodeShell],
    *,
    without_shell: str | None,
    node_timeout: timedelta = NODE_TIMEOUT,
    lasting: Mapping[str, LastingFacts] = MappingProxyType({}),
) -> tuple[NodeReading, ...]:
    """Read the facts of every node of a cluster.

    Args:
        api: The cluster.
        shells: The nodes with SSH access.
        without_shell: What is wrong with the others, which have none; None if none is needed.
        node_timeout: How long a node may take for each question.
        lasting: What nodes that need not be asked for it again have answered.
    """
    quick = api.within(CLUSTER_TIMEOUT)
    members, resources, pools = await asyncio.gather(quick.cluster_status(), quick.resources(), _pools(quick))
    now, sizes = clock.now(), {node.name: node for node in resources.nodes}
    free = asyncio.Semaphore(NODES_AT_ONCE)

    async def one(member: ClusterMember) -> NodeReading:
        node = sizes.get(member.name)
        facts = NodeFacts(
            node=member.name,
            is_online=member.online is not False,
            address=member.ip,
            cores=node.maxcpu if node else None,
            memory_bytes=node.maxmem if node else None,
            vmids=tuple(sorted(guest.vmid for guest in resources.guests)),
            observed_at=now,
            ssh_problem=without_shell,
            appliances=lasting[member.name].appliances if member.name in lasting else (),
            architecture=lasting[member.name].architecture if member.name in lasting else None,
        ).model_copy(update=pools)
        async with free:
            return await _node(api, facts, shells.get(member.name), node_timeout)

    async with asyncio.TaskGroup() as group:
        reading = [group.create_task(one(member)) for member in members if member.type == "node"]
    return tuple(sorted((task.result() for task in reading), key=lambda each: each.facts.node))


async def _pools(api: ProxmoxApi) -> Mapping[str, object]:
    """Return the pools, and whether the access may see all of them; an error hides only them."""
    try:
        names, held = await asyncio.gather(api.pools(), api.permissions())
    except SlipwayError as error:
        log.warning("pools not listed", reason=error.message)
        return {}
    sees_all = any("Pool.Audit" in held.get(path, ()) for path in ("/", "/pool"))
    return {"pools": tuple(sorted(names)), "knows_pools": sees_all}


async def _node(
    api: ProxmoxApi, facts: NodeFacts, shell: NodeShell | None, timeout: timedelta
) -> NodeReading:
    """Read the rest of a node's facts; `ssh_problem` says why it has no shell, if it needs one."""
    if not facts.is_online:
        needs_ssh = shell is not None or facts.ssh_problem is not None
        problem = f"{facts.node} is offline." if needs_ssh else None
        return NodeReading(facts=facts.model_copy(update={"ssh_problem": problem}))
    ssh, reading = await asyncio.gather(_ssh(shell), _answers(api, facts, timeout))
    return replace(reading, facts=reading.facts.model_copy(update=ssh))


async def _answers(api: ProxmoxApi, facts: NodeFacts, timeout: timedelta) -> NodeReading:
    node, asking = facts.node, api.within(timeout)
    storages, bridges, appliances, architecture, certified = await asyncio.gather(
        _answer_or_error(lambda: asking.storages(node)),
        _answer_or_error(lambda: asking.networks(node)),
        _answer_or_error(lambda: _appliances(asking, facts)),
        _architecture(asking, facts),
        certificates.read(asking, node),
    )
    fields: dict[str, object] = {}
    if not isinstance(storages, SlipwayError):
        fields["storages"] = _storages(storages)
        fields["os_templates"] = await _archives(api, node, storages)
    if not isinstance(bridges, SlipwayError):
        fields["bridges"] = tuple(sorted(map(_bridge, bridges), key=lambda each: each.name))
    if not isinstance(appliances, SlipwayError):
        fields["appliances"] = appliances
    answers = {"storages": storages, "networks": bridges, "appliances": appliances}
    unanswered = {name: each for name, each in answers.items() if isinstance(each, SlipwayError)}
    fields |= {"tls_fingerprint": certified.shown, "cluster_identity": certified.identity}
    fields["architecture"] = architecture
    # Asked in every round, which the others are not.
    is_silent = isinstance(storages, SlipwayError) and isinstance(bridges, SlipwayError)
    return NodeReading(
        facts=facts.model_copy(update=fields),
        problem=unanswered["storages"] if is_silent else None,
        unanswered=unanswered,
    )


async def _appliances(api: ProxmoxApi, facts: NodeFacts) -> tuple[str, ...]:
    return facts.appliances or tuple(sorted(each.template for each in await api.appliances(facts.node)))


async def _architecture(api: ProxmoxApi, facts: NodeFacts) -> str | None:
    """Return a node's architecture; an error hides only that."""
    if facts.architecture is not None:
        return facts.architecture
    try:
        return (await api.node_status(facts.node)).architecture
    except SlipwayError:
        return None


async def _answer_or_error(question: Callable[[], Awaitable[ResultT]]) -> ResultT | SlipwayError:
    """Return the answer, or the error instead of it."""
    try:
        return await question()
    except SlipwayError as error:
        return error


async def _archives(api: ProxmoxApi, node: str, storages: tuple[Storage, ...]) -> tuple[str, ...]:
    holding = [each.name for each in storages if "vztmpl" in each.content and each.active and each.enabled]
    free = asyncio.Semaphore(STORAGES_AT_ONCE)
    listed = await asyncio.gather(*(_volumes(api, node, name, free) for name in holding))
    return tuple(sorted(volume for volumes in listed for volume in volumes))


async def _volumes(api: ProxmoxApi, node: str, storage: str, free: asyncio.Semaphore) -> tuple[str, ...]:
    """Return the archives of one storage; an error hides only them."""
    try:
        async with free:
            return tuple(
                volume.volid
                for volume in await api.within(STORAGE_TIMEOUT).content(node, storage, kind="vztmpl")
            )
    except SlipwayError as error:
        log.warning("storage not listed", node=node, storage=storage, reason=error.message)
        return ()


def _storages(storages: Iterable[Storage]) -> tuple[StorageFact, ...]:
    now = clock.now()
    facts = [
        StorageFact(
            name=storage.name,
            type=storage.type,
            content=storage.content,
            is_active=storage.active and storage.enabled,
            is_shared=storage.shared,
            free_bytes=storage.avail,
            total_bytes=storage.total,
            looked_at=now,
        )
        for storage in storages
    ]
    return tuple(sorted(facts, key=lambda each: each.name))


def _bridge(bridge: Bridge) -> BridgeFact:
    return BridgeFact(name=bridge.name, subnets=tuple(each for each in (bridge.cidr, bridge.cidr6) if each))


async def _ssh(shell: NodeShell | None) -> Mapping[str, object]:
    """Return what is known of a node's SSH; nothing new without a shell."""
    if shell is None:
        return {}
    try:
        login = await check_login(shell, timeout=SSH_TIMEOUT)
    except SlipwayError as error:
        return {"ssh_problem": error.message}
    return {"ssh_problem": None, "is_ssh_usable": True, "ssh_limits": login.limits}
