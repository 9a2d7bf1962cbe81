"""Completes containers and clusters: defaults of template and node, VMIDs, addresses, copies. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence

from slipway.contracts.cluster_facts import NodeFacts, StorageFact, VmidRange
from slipway.contracts.clusters import ClusterSpec
from slipway.contracts.container_specs import ContainerSpec, NetworkSpec
from slipway.contracts.job_kinds import CloneArgs
from slipway.contracts.problems import Conflict, FieldError, Invalid, Unavailable
from slipway.contracts.templates import Manifest, Resources, Variable
from slipway.inventory.containers import archives
from slipway.inventory.containers.validation.ssh_keys import keys
from slipway.inventory.faults import at, refuse

FIRST_VMID = 100
LAST_VMID = 999_999_999
"""Proxmox takes VMIDs from 100 to 999,999,999 (official schema, `pve-vmid`)."""
ALL_VMIDS = VmidRange(first=FIRST_VMID, last=LAST_VMID)


_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")


class NodeUnknown(Invalid):
    """There is no such node in the cluster."""

    code = "node.not-found"


class FactsMissing(Unavailable):
    """Facts of the node that are needed are not known yet."""

    code = "node.facts-missing"


class VmidTaken(Conflict):
    """The VMID is in use."""

    code = "vmid.taken"


class NoVmidLeft(Conflict):
    """All VMIDs that Slipway may choose from are in use."""

    code = "vmid.none-left"


class VmidBeyondKey(Conflict):
    """Slipway's SSH key is bound to other VMIDs on the nodes."""

    code = "vmid.beyond-key"


def copied(spec: ContainerSpec, args: CloneArgs, node: str) -> ContainerSpec:
    """Return what a copy is: its own name and place, and MACs that Proxmox makes anew."""
    networks = tuple(each.model_copy(update={"hwaddr": None}) for each in spec.networks)
    copy: dict[str, object] = {
        "hostname": args.hostname,
        "node": node,
        "vmid": args.vmid,
        "networks": networks,
    }
    if args.storage is not None:
        move = {"storage": args.storage}
        mounts = tuple(each if each.is_bind else each.model_copy(update=move) for each in spec.mounts)
        copy |= {**move, "mounts": mounts}
    return spec.model_copy(update=copy)


def with_addresses(spec: ClusterSpec, nodes: Sequence[NodeFacts]) -> ClusterSpec:
    """Return how a cluster is reached, with the addresses that were seen where none is set."""
    seen = {node.node: node.address for node in nodes}
    reached = {
        name: node.model_copy(update={"address": node.address or seen.get(name)})
        for name, node in spec.nodes.items()
    }
    return spec.model_copy(update={"nodes": reached})


def disk_storages(node: NodeFacts) -> list[StorageFact]:
    """Storages that can hold container disks, the emptiest first."""
    able = [storage for storage in node.storages if storage.is_active and "rootdir" in storage.content]
    return sorted(able, key=lambda storage: (-free_of(storage), storage.name))


def check_range(vmids: VmidRange, *, under: str = "") -> None:
    """Raise if Proxmox does not take these VMIDs, or there are none of them; `under` begins the field."""
    for field, vmid in (("first", vmids.first), ("last", vmids.last)):
        if not FIRST_VMID <= vmid <= LAST_VMID:
            raise at(f"{under}{field}", Invalid, f"VMIDs go from {FIRST_VMID} to {LAST_VMID}.")
    if vmids.last < vmids.first:
        raise at(f"{under}last", Invalid, f"The range ends at {vmids.last}, before it begins.")


def choose_vmid(
    requested: int | None, *, used: Iterable[int], claimed: Iterable[int], within: VmidRange = ALL_VMIDS
) -> int:
    """Choose the VMID: the requested one, else the lowest of the range that nobody uses or claims.

    Raises:
        VmidTaken: if the requested one is in use.
        NoVmidLeft: if all of the range are.
    """
    taken = set(used) | set(claimed)
    if requested is None:
        free = next((vmid for vmid in range(within.first, within.last + 1) if vmid not in taken), None)
        if free is None:
            raise at(
                "vmid",
                NoVmidLeft,
                f"All VMIDs from {within.first} to {within.last} are in use in this cluster. Widen its range "
                "(`slipway cluster vmid-range`, PUT /api/v1/clusters/{cluster}/vmid-range), delete a "
                "container, or name a VMID.",
            )
        return free
    if requested in taken:
        message = f"VMID {requested} is in use in this cluster; leave it out to get a free one."
        raise at("vmid", VmidTaken, message)
    return requested


def refuse_beyond_key(vmid: int, limits: Iterable[str | None]) -> None:
    """Refuse a VMID that the nodes' forced command would let nobody enter; if they differ, nothing is clear.

    Args:
        vmid: of a new container.
        limits: what each node's forced command binds the SSH key to, in its words.
    """
    bounds = {_key_vmids(each) for each in limits if each is not None}
    ranges = bounds.pop() if len(bounds) == 1 else ""
    in_one = (int(first) <= vmid <= int(last or first) for first, last in _RANGE.findall(ranges))
    if not ranges or any(in_one):
        return
    message = (
        f"VMID {vmid} is not one that Slipway's SSH key is bound to on the nodes: {ranges}. Choose one of "
        "those, for all creations by the cluster's VMID range (`slipway cluster vmid-range`), or bind the "
        "key to more (`slipway cluster access CLUSTER --connect ADDRESS --vmids ...`)."
    )
    raise at("vmid", VmidBeyondKey, message)


def _key_vmids(limits: str) -> str:
    return next((each[6:] for each in limits.split("; ") if each.startswith("vmids ")), "")


def complete(spec: ContainerSpec, manifest: Manifest | None, node: NodeFacts) -> ContainerSpec:
    """Fill every default that a container needs, from the template and the node."""
    resources = manifest.resources if manifest else Resources()
    storages = disk_storages(node)
    if not storages or not node.bridges:
        raise FactsMissing(f"Node {node.node} shows no storage for container disks, or no bridge, now.")
    filled = {
        "node": node.node,
        "cores": spec.cores or resources.cores,
        "memory": resources.memory if spec.memory is None else spec.memory,
        "swap": resources.swap if spec.swap is None else spec.swap,
        "disk": spec.disk or resources.disk,
        "storage": spec.storage or storages[0].name,
        "unprivileged": resources.unprivileged if spec.unprivileged is None else spec.unprivileged,
        "features": {"nesting": True, **resources.features, **spec.features},
        "networks": _networks(spec.networks or (NetworkSpec(),), node),
        "ostemplate": archives.choose(
            spec.ostemplate or (manifest.ostemplate if manifest else ""), node, architecture=spec.arch
        ),
        "variables": _variables(spec, manifest),
        "ssh_public_keys": "\n".join(key for _, key in keys(spec.ssh_public_keys or "") if key) or None,
        "tags": tuple(dict.fromkeys((*(manifest.tags if manifest else ()), *spec.tags))),
    }
    return spec.model_copy(update=filled)


def secret_variables(manifest: Manifest | None, names: Iterable[str]) -> tuple[Variable, ...]:
    """Return the template's secret variables; refuse names that it does not have, and missing ones."""
    secret = {each.name: each for each in (manifest.variables if manifest else ()) if each.is_secret}
    faults = [
        (name, "The template has no such secret variable.") for name in sorted(set(names) - set(secret))
    ]
    faults += [
        (name, "The template needs a value.")
        for name, each in secret.items()
        if each.is_required and each.generate is None and name not in names
    ]
    refuse(Invalid, (FieldError(field=f"variables.{name}", message=message) for name, message in faults))
    return tuple(secret.values())


def _networks(networks: Sequence[NetworkSpec], node: NodeFacts) -> tuple[NetworkSpec, ...]:
    return tuple(
        network.model_copy(
            update={
                "name": network.name or f"eth{index}",
                "bridge": network.bridge or node.bridges[0].name,
                "ip": network.ip or ("dhcp" if index == 0 and network.ip6 is None else None),
            }
        )
        for index, network in enumerate(networks)
    )


def _variables(spec: ContainerSpec, manifest: Manifest | None) -> Mapping[str, str]:
    defaults = {
        variable.name: variable.default or ""
        for variable in (manifest.variables if manifest else ())
        if not variable.is_secret
    }
    return {**defaults, **spec.variables}


def free_of(storage: StorageFact) -> int:
    """Return what is free there in bytes, as far as it is known."""
    return storage.free_bytes or 0
