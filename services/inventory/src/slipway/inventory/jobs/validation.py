"""Checks the arguments of jobs on existing containers. Pure; every fault names its field.

`contracts.job_kinds` has the arguments that a kind takes and needs; here are their limits, and whether they
fit the container, its node and its cluster.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from posixpath import normpath
from typing import Any

from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.cluster_settings import DENIED, ClusterLimits
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.job_kinds import (
    KINDS,
    REQUESTED,
    Args,
    BackupArgs,
    CloneArgs,
    ConfigureArgs,
    JobKind,
    MigrateArgs,
    ResizeArgs,
    RestoreArgs,
    SnapshotArgs,
)
from slipway.contracts.problems import Conflict, FieldError, Invalid, SlipwayError
from slipway.inventory.containers import defaults, placement, validation
from slipway.inventory.containers.validation import networks, restricted, texts
from slipway.inventory.faults import at, refuse

_HOST_ACCESS = frozenset({"features", "mounts", "devices", "hookscript"})
"""Arguments that may give the guest access to the host."""
ON_NODES = frozenset({"target_node", "networks"})
"""Arguments that are checked against the facts of the cluster's nodes."""
ON_CONTAINER = _HOST_ACCESS | ON_NODES | {"backup"}
"""Arguments that are checked against the container."""
_SNAPSHOT = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,39}")
"""Official schema: `pve-configid`, up to 40 characters."""
_OF_PROXMOX = frozenset({"current", "vzdump"})
"""Names of snapshots that Proxmox gives itself (PVE::API2::LXC::Snapshot 9.2)."""
_STORAGE = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]*[a-zA-Z0-9]")
_BACKUP = re.compile(rf"{_STORAGE.pattern}:(?!.*\.\.)[a-zA-Z0-9][a-zA-Z0-9_./:-]{{0,250}}")
_OWNER = re.compile(r":backup/(?:vzdump-(?:lxc|openvz|qemu)-|ct/|vm/)(?P<vmid>[1-9][0-9]{2,8})[-/]")
"""The VMID in the names of vzdump's archives and those of a Proxmox Backup Server."""
_SETTING = re.compile(r"[a-z][a-z0-9_-]{0,40}")
_MOST_KEYS = 400
_NODE = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_MOST_GRACE = 3600
_LIKE_A_CREATION = frozenset(ContainerSpec.model_fields) - {"storage"}
"""Arguments with the meaning that they have in a creation; a backup's storage holds no disks."""

_RESETTABLE = frozenset({"nameserver", "searchdomain"})
"""Arguments that are the node's again when they are empty."""


class JobInvalid(Invalid):
    """The arguments of the job are invalid."""

    code = "job.invalid"


def check(kind: JobKind, args: Args) -> None:
    """Refuse arguments that are out of the kind's limits; all faults together."""
    refuse(JobInvalid, _faults(kind, args))


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerFacts:
    """The container that a job is requested for, and the nodes of its cluster."""

    spec: ContainerSpec
    vmid: int
    hostname: str
    node: str
    nodes: Sequence[NodeFacts] = ()
    """Of its cluster; needed only if the arguments are checked against nodes (`looks_at_nodes`)."""
    in_maintenance: Collection[str] = ()
    """Names of the nodes in maintenance."""
    limits: ClusterLimits = DENIED
    """Of its cluster; needed only if the arguments reach into the host (`looks_at_limits`)."""


class ContainerProtected(Conflict):
    """Proxmox's `protection` is set."""

    code = "container.protected"


class NodeInMaintenance(Conflict):
    """The node is in maintenance."""

    code = "node.in-maintenance"


def looks_at_nodes(args: Args) -> bool:
    """Return whether arguments are checked against the facts of nodes."""
    return not ON_NODES.isdisjoint(args.values())


def looks_at_container(args: Args) -> bool:
    """Return whether arguments are checked against the container."""
    return not ON_CONTAINER.isdisjoint(args.values())


def looks_at_host(args: Args) -> bool:
    """Return whether the host is asked for obstacles before the job is accepted."""
    return isinstance(args, SnapshotArgs) or (isinstance(args, ResizeArgs) and args.disk is not None)


def looks_at_limits(args: Args) -> bool:
    """Return whether arguments are checked against the limits of the cluster."""
    return not _HOST_ACCESS.isdisjoint(args.values())


def check_against(kind: JobKind, args: Args, container: ContainerFacts) -> None:
    """Refuse what does not fit the container or its cluster; faults name the arguments.

    Raises:
        FactsMissing: if the facts of a node are needed and missing.
    """
    if kind is JobKind.DELETE:
        _refuse_protected(container)
    if isinstance(args, RestoreArgs):
        _refuse_foreign_backup(args.backup, container.vmid)
    if isinstance(args, MigrateArgs | CloneArgs) and args.target_node is not None:
        _check_target(args, args.target_node, container)
    if isinstance(args, ConfigureArgs):
        _check_settings(args, container)


def _check_settings(args: ConfigureArgs, container: ContainerFacts) -> None:
    values = {name: value for name, value in args.values().items() if name in _HOST_ACCESS}
    try:
        spec = ContainerSpec.model_validate({"hostname": container.hostname, **values})
        restricted.check(spec, container.limits)
    except restricted.RestrictedKey as error:
        raise restricted.RestrictedKey(error.message, errors=_of_args(error.errors)) from error
    _refuse_taken_paths(container.spec, args)
    _refuse_missing_bridges(args, container)


def _check_target(args: MigrateArgs | CloneArgs, node: str, container: ContainerFacts) -> None:
    if not container.nodes:
        raise defaults.FactsMissing("Nothing is known of the nodes of the cluster yet.")
    try:
        target = placement.choose_node(node, container.nodes)
    except SlipwayError as error:
        # An error that names the node's field is about the argument.
        faults = [each.model_copy(update={"field": "args.target_node"}) for each in error.errors]
        raise type(error)(error.message, errors=faults) from error
    if target.node == container.node or isinstance(args, CloneArgs):
        return
    if target.node in container.in_maintenance:
        message = f"Node {target.node} is in maintenance: nothing is moved there before it ends."
        raise at("args.target_node", NodeInMaintenance, message)
    _refuse_missing_storages(container.spec, args.storage, target)


def _refuse_missing_storages(spec: ContainerSpec, storage: str | None, target: NodeFacts) -> None:
    """Refuse a move to a node without the storage that the disks go to: the named one, or where they are."""
    able = {each.name for each in defaults.disk_storages(target)}
    needed = placement.named_storages(spec) if storage is None else {storage}
    if missing := sorted(needed - able):
        has = ", ".join(sorted(able)) or "none"
        named = ", ".join(f"{each:.80}" for each in missing)
        field = "target_node" if storage is None else "storage"
        why = ", where disks of this container are" if storage is None else ""
        message = f"Node {target.node} has no storage {named}{why}. For disks it has: {has}."
        raise at(f"args.{field}", JobInvalid, message)


def _refuse_missing_bridges(args: ConfigureArgs, container: ContainerFacts) -> None:
    if not args.networks:
        return
    facts = next((each for each in container.nodes if each.node == container.node), None)
    if facts is None:
        raise defaults.FactsMissing(f"Nothing is known of node {container.node} yet; its bridges have to be.")
    refuse(JobInvalid, _of_args(networks.bridges(args.networks, facts)))


def _refuse_protected(container: ContainerFacts) -> None:
    """Refuse the deletion of a container that was protected through Slipway."""
    if container.spec.protection:
        raise ContainerProtected(
            f"Container {container.hostname} ({container.vmid}) is protected, so it is not deleted. "
            'Take the protection off first: configure {"protection": false}.',
            vmid=container.vmid,
        )


def _refuse_foreign_backup(backup: str, vmid: int) -> None:
    """Refuse the backup of another VMID: it would turn this container into another one."""
    owner = _OWNER.search(backup)
    if owner is not None and int(owner["vmid"]) != vmid:
        message = (
            f"{backup} is a backup of VMID {owner['vmid']}, and this container is {vmid}: it would "
            "become another one. Its own backups are listed by GET /api/v1/containers/{id}/backups."
        )
        raise at("args.backup", JobInvalid, message)


def _refuse_taken_paths(spec: ContainerSpec, args: ConfigureArgs) -> None:
    """Refuse bind mounts where volumes are."""
    taken = {normpath(mount.path) for mount in spec.mounts if not mount.is_bind}
    faults = [
        FieldError(field=f"args.mounts.{index}.path", message="A volume is mounted there.")
        for index, mount in enumerate(args.mounts or ())
        if normpath(mount.path) in taken
    ]
    refuse(JobInvalid, faults)


def _of_args(faults: Iterable[FieldError]) -> list[FieldError]:
    """Return faults with their fields named as the job's arguments."""
    return [each.model_copy(update={"field": f"args.{each.field}"}) for each in faults]


def _faults(kind: JobKind, args: Args) -> Iterator[FieldError]:
    spec, values = KINDS[kind], args.values()
    if not spec.is_requested:
        kinds = ", ".join(sorted(each.kind for each in REQUESTED.values()))
        yield FieldError(field="kind", message=f"{kind} is not requested this way; these are: {kinds}.")
        return
    if spec.needs_any and not values:
        names = ", ".join(sorted(spec.args.model_fields))
        yield FieldError(field="args", message=f"At least one argument is needed: {names}.")
    if not 0 <= values.get("grace_seconds", 0) <= _MOST_GRACE:
        message = f"It must be from 0 to {_MOST_GRACE}: the job holds a place in its node's queue meanwhile."
        yield FieldError(field="args.grace_seconds", message=message)
    yield from _snapshots(args)
    yield from _keys(values.get("keys"))
    yield from _names(values)
    yield from _of_args(_of_container(args))


def _snapshots(args: Args) -> Iterator[FieldError]:
    name = args.values().get("snapshot")
    if name is not None and not _SNAPSHOT.fullmatch(name):
        message = "A snapshot's name has 2 to 40 letters, digits, _ and -, and begins with a letter."
        yield FieldError(field="args.snapshot", message=message)
    elif name == "current" or (isinstance(args, SnapshotArgs) and name in _OF_PROXMOX):
        yield FieldError(field="args.snapshot", message=f"Proxmox keeps the name {name} for itself.")


def _keys(keys: Sequence[str] | None) -> Iterator[FieldError]:
    if keys is None:
        return
    if len(keys) > _MOST_KEYS or not keys:
        yield FieldError(field="args.keys", message=f"Name 1 to {_MOST_KEYS} settings, or leave it out.")
    for index, key in enumerate(keys[:_MOST_KEYS]):
        if not _SETTING.fullmatch(key):
            message = f"{texts.shown(key)} is not the name of a setting, like nameserver or net0."
            yield FieldError(field=f"args.keys.{index}", message=message)


def _names(values: Mapping[str, Any]) -> Iterator[FieldError]:
    checks = (
        ("storage", _STORAGE, "a storage's name"),
        ("target_node", _NODE, "a node's name"),
        ("backup", _BACKUP, "a backup's volume, like local:backup/vzdump-lxc-101-DATE.tar.zst"),
    )
    for name, pattern, right in checks:
        value = values.get(name)
        if value is not None and not pattern.fullmatch(value):
            yield FieldError(field=f"args.{name}", message=f"{texts.shown(value)} is not {right}.")


def _of_container(args: Args) -> Iterator[FieldError]:
    """Return faults by the rules for creations."""
    values = {name: value for name, value in args.values().items() if name in _LIKE_A_CREATION}
    for name in _RESETTABLE & values.keys():
        if texts.is_empty_list(values[name]):
            del values[name]
    mounts = values.get("mounts", ())
    volumes = [index for index, mount in enumerate(mounts) if not mount.is_bind]
    for index in volumes:
        message = "Only bind mounts can change; a volume is made with its container."
        yield FieldError(field=f"mounts.{index}.storage", message=message)
    if volumes:
        del values["mounts"]
    if isinstance(args, BackupArgs | SnapshotArgs):
        note = values.pop("description", "")
        is_backup = isinstance(args, BackupArgs)
        if (fault := texts.backup_notes(note) if is_backup else texts.snapshot_notes(note)) is not None:
            yield FieldError(field="description", message=fault)
    yield from validation.faults(ContainerSpec.model_validate({"hostname": "any", **values}))
