"""Read the facts of nodes over the API, and try SSH. Never changes anything.

Every question has a deadline of its own; one without an answer is named and hides nothing else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import TypeVar

from slipway.contracts.cluster_facts import BridgeFact, GpuFact, NodeFacts, StorageFact, VnetFact
from slipway.contracts.message import Moment
from slipway.contracts.problems import SlipwayError
from slipway.monitor.facts import certificates, devices
from slipway.monitor.facts.diff import FIELDS_OF_PART
from slipway.monitor.facts.lasting import Answered, times_of
from slipway.proxmox.answers import Bridge, ClusterMember, Storage
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.login import check_login
from slipway.proxmox.ssh import NodeShell
from slipway.proxmox.storage_answers import PciDevice, Vnet, Volume
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
_NO_SSH = (
    "Slipway has no SSH access to this cluster, whose tier needs none; devices are listed over SSH alone."
)


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
    lasting: Mapping[str, Answered] = MappingProxyType({}),
    reads_devices: bool = True,
) -> tuple[NodeReading, ...]:
    """Read the facts of every node of a cluster.

    Args:
        api: The cluster.
        shells: The nodes with SSH access.
        without_shell: What is wrong with the others, which have none; None if none is needed.
        node_timeout: How long a node may take for each question.
        lasting: What nodes that need not be asked for it again have answered.
        reads_devices: Whether devices and mounted folders are read, which needs SSH.
    """
    quick = api.within(CLUSTER_TIMEOUT)
    members, resources, pools, vnets = await asyncio.gather(
        quick.cluster_status(), quick.resources(), _pools(quick), _vnets(quick, lasting)
    )
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
        )
        of_cluster = {"vmids": {}, "pools": pools, "vnets": vnets}
        times = {part: now for part, answer in of_cluster.items() if answer is not None}
        facts = _with(facts, {**(pools or {}), **(vnets or {})}, times)
        if member.name in lasting:
            answered = lasting[member.name]
            facts = _with(facts, answered, times_of(answered))
        async with free:
            return await _node(api, facts, shells.get(member.name), node_timeout, reads_devices=reads_devices)

    async with asyncio.TaskGroup() as group:
        reading = [group.create_task(one(member)) for member in members if member.type == "node"]
    return tuple(sorted((task.result() for task in reading), key=lambda each: each.facts.node))


async def _pools(api: ProxmoxApi) -> Mapping[str, object] | None:
    """Return the pools, and whether the access may see all of them; an error hides only them."""
    try:
        names, held = await asyncio.gather(api.pools(), api.permissions())
    except SlipwayError as error:
        log.warning("pools not listed", reason=error.message)
        return None
    sees_all = any("Pool.Audit" in held.get(path, ()) for path in ("/", "/pool"))
    return {"pools": tuple(sorted(names)), "knows_pools": sees_all}


async def _vnets(api: ProxmoxApi, lasting: Mapping[str, Answered]) -> Mapping[str, object] | None:
    """Return the vnets; an error hides only them: a Proxmox without SDN has none."""
    if any("vnets" in each for each in lasting.values()):
        return None
    try:
        vnets = await api.vnets()
    except SlipwayError as error:
        log.debug("vnets not listed", reason=error.message)
        return None
    return {"vnets": tuple(sorted(map(_vnet, vnets), key=lambda each: each.name))}


async def _node(
    api: ProxmoxApi,
    facts: NodeFacts,
    shell: NodeShell | None,
    timeout: timedelta,
    *,
    reads_devices: bool,
) -> NodeReading:
    """Read the rest of a node's facts; `ssh_problem` says why it has no shell, if it needs one."""
    if not facts.is_online:
        needs_ssh = shell is not None or facts.ssh_problem is not None
        problem = f"{facts.node} is offline." if needs_ssh else None
        return NodeReading(facts=facts.model_copy(update={"ssh_problem": problem}))
    needs_devices = reads_devices and "devices" not in facts.parts_at
    over_ssh, reading = await asyncio.gather(
        _over_ssh(shell, facts, reads_devices=needs_devices), _answers(api, facts, timeout)
    )
    return replace(reading, facts=_with(reading.facts, *over_ssh))


def _with(facts: NodeFacts, fields: Mapping[str, object], times: Mapping[str, Moment]) -> NodeFacts:
    return facts.model_copy(update={**fields, "parts_at": {**facts.parts_at, **times}})


async def _answers(api: ProxmoxApi, facts: NodeFacts, timeout: timedelta) -> NodeReading:
    node, asking = facts.node, api.within(timeout)
    storages, bridges, appliances, architecture, gpus, certified = await asyncio.gather(
        _answer_or_error(lambda: asking.storages(node)),
        _answer_or_error(lambda: asking.networks(node)),
        _answer_or_error(lambda: _appliances(asking, facts)),
        _answer_or_error(lambda: _architecture(asking, facts)),
        _answer_or_error(lambda: _gpus(asking, facts)),
        certificates.read(asking, node),
    )
    parts: dict[str, object] = {"appliances": appliances, "architecture": architecture, "gpus": gpus}
    fields = {name: each for name, each in parts.items() if not isinstance(each, SlipwayError)}
    if not isinstance(storages, SlipwayError):
        sizes = await _archives(api, node, storages)
        fields |= {"storages": _storages(storages), "os_templates": tuple(sorted(sizes))}
        fields["os_template_sizes"] = sizes
    if not isinstance(bridges, SlipwayError):
        fields["bridges"] = tuple(sorted(map(_bridge, bridges), key=lambda each: each.name))
    now = clock.now()
    times = {part: facts.parts_at.get(part, now) for part in FIELDS_OF_PART if part in fields}
    fields |= {"tls_fingerprint": certified.shown, "cluster_identity": certified.identity}
    answers = {"storages": storages, "networks": bridges, "appliances": appliances}
    unanswered = {name: each for name, each in answers.items() if isinstance(each, SlipwayError)}
    # Asked in every round, which the others are not.
    is_silent = isinstance(storages, SlipwayError) and isinstance(bridges, SlipwayError)
    return NodeReading(
        facts=_with(facts, fields, times),
        problem=unanswered["storages"] if is_silent else None,
        unanswered=unanswered,
    )


async def _appliances(api: ProxmoxApi, facts: NodeFacts) -> tuple[str, ...]:
    if "appliances" in facts.parts_at:
        return facts.appliances
    return tuple(sorted(each.template for each in await api.appliances(facts.node)))


async def _architecture(api: ProxmoxApi, facts: NodeFacts) -> str | None:
    if "architecture" in facts.parts_at:
        return facts.architecture
    return (await api.node_status(facts.node)).architecture


async def _gpus(api: ProxmoxApi, facts: NodeFacts) -> tuple[GpuFact, ...]:
    if "gpus" in facts.parts_at:
        return facts.gpus
    return tuple(map(_gpu, filter(lambda each: each.is_gpu, await api.pci_devices(facts.node))))


async def _answer_or_error(question: Callable[[], Awaitable[ResultT]]) -> ResultT | SlipwayError:
    """Return the answer, or the error instead of it."""
    try:
        return await question()
    except SlipwayError as error:
        return error


async def _archives(api: ProxmoxApi, node: str, storages: tuple[Storage, ...]) -> Mapping[str, int]:
    """Return the sizes of the archives on all storages, by volume."""
    holding = [each.name for each in storages if "vztmpl" in each.content and each.active and each.enabled]
    free = asyncio.Semaphore(STORAGES_AT_ONCE)
    listed = await asyncio.gather(*(_volumes(api, node, name, free) for name in holding))
    return {volume.volid: volume.size for volumes in listed for volume in volumes}


async def _volumes(api: ProxmoxApi, node: str, storage: str, free: asyncio.Semaphore) -> tuple[Volume, ...]:
    """Return the archives of one storage; an error hides only them."""
    try:
        async with free:
            return await api.within(STORAGE_TIMEOUT).content(node, storage, kind="vztmpl")
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
    return BridgeFact(
        name=bridge.name,
        subnets=tuple(each for each in (bridge.cidr, bridge.cidr6) if each),
        type=bridge.type,
        is_vlan_aware=bridge.is_vlan_aware,
        vlans=bridge.bridge_vids,
        comment=(bridge.comments or "").strip() or None,
    )


def _vnet(vnet: Vnet) -> VnetFact:
    return VnetFact(
        name=vnet.name, zone=vnet.zone, tag=vnet.tag, is_vlan_aware=vnet.vlanaware, alias=vnet.alias
    )


def _gpu(device: PciDevice) -> GpuFact:
    vendor, name = device.vendor_name or device.vendor, device.device_name or device.device
    return GpuFact(id=device.id, name=f"{vendor} {name}".strip())


async def _over_ssh(
    shell: NodeShell | None, facts: NodeFacts, *, reads_devices: bool
) -> tuple[Mapping[str, object], Mapping[str, Moment]]:
    """Try SSH, and read devices if requested and possible; return fields, and when parts were read."""
    ssh = await _ssh(shell)
    if shell is None or not ssh.get("is_ssh_usable"):
        problem = ssh.get("ssh_problem", facts.ssh_problem)
        return {**ssh, "devices_problem": problem or _NO_SSH}, {}
    fields = {**ssh, "devices_problem": None}
    if not reads_devices:
        return fields, {}
    found = await _answer_or_error(lambda: devices.read(shell))
    if isinstance(found, SlipwayError):
        return {**fields, "devices_problem": found.message}, {}
    return {**fields, "devices": found[0], "folders": found[1]}, {"devices": clock.now()}


async def _ssh(shell: NodeShell | None) -> Mapping[str, object]:
    """Return what is known of a node's SSH; nothing new without a shell."""
    if shell is None:
        return {}
    try:
        login = await check_login(shell, timeout=SSH_TIMEOUT)
    except SlipwayError as error:
        return {"ssh_problem": error.message}
    return {"ssh_problem": None, "is_ssh_usable": True, "ssh_limits": login.limits}
