"""What a job on a container that exists may be told. Pure; every fault names its field."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from posixpath import normpath
from types import MappingProxyType

from slipway.contracts.clusters import NodeFacts
from slipway.contracts.containers import ContainerSpec
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import JobArgs
from slipway.contracts.problems import Conflict, FieldError, Invalid, SlipwayError
from slipway.inventory.containers import defaults, placement, validation
from slipway.inventory.containers.validation import networks, restricted, texts
from slipway.runtime.process.host_access import NONE, HostAccessPolicy

ALLOWED: Mapping[JobKind, frozenset[str]] = MappingProxyType(
    {
        JobKind.START: frozenset(),
        JobKind.STOP: frozenset(),
        JobKind.SHUTDOWN: frozenset({"grace_seconds"}),
        JobKind.RESTART: frozenset({"grace_seconds"}),
        JobKind.RESIZE: frozenset({"cores", "memory", "swap", "disk"}),
        JobKind.CONFIGURE: frozenset(
            {
                "hostname",
                "tags",
                "description",
                "onboot",
                "startup",
                "protection",
                "features",
                "networks",
                "mounts",
                "devices",
                "hookscript",
                "nameserver",
                "searchdomain",
                "timezone",
                "cmode",
                "console",
                "tty",
            }
        ),
        JobKind.REVERT: frozenset({"keys"}),
        JobKind.SNAPSHOT: frozenset({"snapshot", "description"}),
        JobKind.ROLLBACK: frozenset({"snapshot"}),
        JobKind.SNAPSHOT_DELETE: frozenset({"snapshot"}),
        JobKind.BACKUP: frozenset({"storage", "mode", "description"}),
        JobKind.RESTORE: frozenset({"backup"}),
        JobKind.CLONE: frozenset({"hostname", "vmid", "target_node", "storage", "snapshot"}),
        JobKind.MIGRATE: frozenset({"target_node", "storage"}),
        JobKind.UNLOCK: frozenset(),
    }
)
"""Which arguments each kind takes; a kind that is not here can't be asked for this way."""
CHANGING = frozenset({JobKind.RESIZE, JobKind.CONFIGURE})
"""Kinds that need at least one argument."""
NEEDED: Mapping[JobKind, str] = MappingProxyType(
    {JobKind.RESTORE: "backup", JobKind.CLONE: "hostname", JobKind.MIGRATE: "target_node"}
)
"""The argument that a kind can't do without."""
_REACHING = frozenset({"features", "mounts", "devices", "hookscript"})
"""What may reach into the host."""
ON_NODES = frozenset({"target_node", "networks"})
"""Arguments that are checked against what is known of the cluster's nodes."""
ON_CONTAINER = _REACHING | ON_NODES | {"backup"}
"""Arguments that are checked against the container."""
OF_SNAPSHOTS = frozenset({JobKind.SNAPSHOT, JobKind.ROLLBACK, JobKind.SNAPSHOT_DELETE})
"""Kinds that need a snapshot's name."""
_SNAPSHOT = re.compile(r"(?!current$)[A-Za-z][A-Za-z0-9_-]{1,39}")
"""Official schema: `pve-configid`, up to 40 characters; `current` is Proxmox's own."""
_STORAGE = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]{0,98}[a-zA-Z0-9]")
_BACKUP = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]{0,98}:[a-zA-Z0-9][a-zA-Z0-9_./:-]{0,250}")
_OWNER = re.compile(r":backup/(?:vzdump-(?:lxc|openvz|qemu)-|ct/|vm/)(?P<vmid>[1-9][0-9]{2,8})[-/]")
"""Whose a backup is: vzdump's archives and those of a Proxmox Backup Server say so in their names."""
_SETTING = re.compile(r"[a-z][a-z0-9_-]{0,40}")
_MOST_KEYS = 400
_NODE = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_MOST_GRACE = 3600
_LIKE_A_CREATION = frozenset(ContainerSpec.model_fields) & frozenset(JobArgs.model_fields) - {"storage"}
"""Arguments that mean what they mean in a creation; a backup's storage holds no disks."""


class JobInvalid(Invalid):
    """The job can't be as it was asked for."""

    code = "job.invalid"


def check(kind: JobKind, args: JobArgs) -> None:
    """Refuse what a kind does not take, or what is out of its limits; all faults together."""
    faults = tuple(_faults(kind, args))
    if faults:
        told = "; ".join(f"{each.field}: {each.message}" for each in faults)
        raise JobInvalid(told, errors=faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of the container that a job is asked for."""

    spec: ContainerSpec
    vmid: int
    hostname: str
    node: str
    nodes: Sequence[NodeFacts] = ()
    """Of its cluster; only jobs that `looks_at_nodes` need them."""
    in_maintenance: Collection[str] = ()
    """Those in maintenance."""


class ContainerProtected(Conflict):
    """Proxmox's `protection` is set."""

    code = "container.protected"


class NodeInMaintenance(Conflict):
    """The node is in maintenance."""

    code = "node.in-maintenance"


def looks_at_nodes(args: JobArgs) -> bool:
    """Whether arguments are checked against what is known of nodes."""
    return any(getattr(args, name) is not None for name in ON_NODES)


def looks_at_container(args: JobArgs) -> bool:
    """Whether arguments are checked against the container."""
    return any(getattr(args, name) is not None for name in ON_CONTAINER)


def looks_at_host(kind: JobKind, args: JobArgs) -> bool:
    """Whether the host itself is asked, before such a job is accepted, what it has against it."""
    return kind is JobKind.SNAPSHOT or (kind is JobKind.RESIZE and args.disk is not None)


def check_against(kind: JobKind, args: JobArgs, known: Known, host_access: HostAccessPolicy = NONE) -> None:
    """Refuse what does not fit the container or its cluster; faults name the arguments.

    Raises:
        FactsMissing: if what has to be known of a node is not known.
    """
    if kind is JobKind.DELETE:
        _refuse_protected(known)
    _refuse_foreign_backup(args, known.vmid)
    if args.target_node is not None:
        _check_target(kind, args, args.target_node, known)
    given = {name: value for name, value in args if name in _REACHING and value is not None}
    try:
        restricted.check(ContainerSpec.model_validate({"hostname": known.hostname, **given}), host_access)
    except SlipwayError as error:
        raise _renamed(error, {}) from error
    _refuse_taken_paths(known.spec, args)
    _refuse_missing_bridges(args, known)


def _check_target(kind: JobKind, args: JobArgs, wanted: str, known: Known) -> None:
    if not known.nodes:
        raise defaults.FactsMissing("Nothing is known of the nodes of the cluster yet.")
    try:
        target = placement.choose_node(wanted, known.nodes)
    except SlipwayError as error:
        raise _renamed(error, {"node": "target_node"}) from error
    if target.node == known.node or kind is not JobKind.MIGRATE:
        return
    if target.node in known.in_maintenance:
        message = f"Node {target.node} is in maintenance: nothing is moved there before it ends."
        raise NodeInMaintenance(message, errors=[FieldError(field="args.target_node", message=message)])
    _refuse_missing_storages(known.spec, args, target)


def _refuse_missing_storages(spec: ContainerSpec, args: JobArgs, target: NodeFacts) -> None:
    """Refuse a move to a node without the storage that the disks go to: the named one, or where they are."""
    able = {each.name for each in defaults.disk_storages(target)}
    wanted = placement.named_storages(spec) if args.storage is None else {args.storage}
    if missing := sorted(wanted - able):
        has = ", ".join(sorted(able)) or "none"
        field = "target_node" if args.storage is None else "storage"
        why = ", where disks of this container are" if args.storage is None else ""
        message = f"Node {target.node} has no storage {', '.join(missing)}{why}. For disks it has: {has}."
        raise JobInvalid(message, errors=[FieldError(field=f"args.{field}", message=message)])


def _refuse_missing_bridges(args: JobArgs, known: Known) -> None:
    if not args.networks:
        return
    facts = next((each for each in known.nodes if each.node == known.node), None)
    if facts is None:
        raise defaults.FactsMissing(f"Nothing is known of node {known.node} yet; its bridges have to be.")
    _refuse(tuple(networks.bridges(args.networks, facts)))


def _refuse_protected(known: Known) -> None:
    """Refuse by what was asked for, as far as the row knows it."""
    if known.spec.protection:
        raise ContainerProtected(
            f"Container {known.hostname} ({known.vmid}) is protected, so it is not deleted. "
            'Take the protection off first: configure {"protection": false}.',
            vmid=known.vmid,
        )


def _refuse_foreign_backup(args: JobArgs, vmid: int) -> None:
    """Refuse a backup that is another VMID's: restored here, it would make this container someone else."""
    found = _OWNER.search(args.backup or "")
    if found is not None and int(found["vmid"]) != vmid:
        message = (
            f"{args.backup} is a backup of VMID {found['vmid']}, and this container is {vmid}: it would "
            "become someone else. Its own backups are listed by GET /api/v1/containers/{id}/backups."
        )
        raise JobInvalid(message, errors=[FieldError(field="args.backup", message=message)])


def _refuse_taken_paths(spec: ContainerSpec, args: JobArgs) -> None:
    """Refuse bind mounts where volumes are."""
    taken = {normpath(mount.path) for mount in spec.mounts if not mount.is_bind}
    message = "A volume is mounted there."
    _refuse(
        tuple(
            FieldError(field=f"mounts.{index}.path", message=message)
            for index, mount in enumerate(args.mounts or ())
            if normpath(mount.path) in taken
        )
    )


def _refuse(faults: Sequence[FieldError]) -> None:
    """Refuse if there are faults; their fields become the job's arguments."""
    if faults:
        named = [each.model_copy(update={"field": f"args.{each.field}"}) for each in faults]
        raise JobInvalid("; ".join(f"{each.field}: {each.message}" for each in named), errors=named)


def _renamed(error: SlipwayError, names: Mapping[str, str]) -> SlipwayError:
    """Give the error with its fields as the job's arguments."""
    faults = tuple(
        each.model_copy(update={"field": f"args.{names.get(each.field, each.field)}"})
        for each in error.to_problem().errors
    )
    return type(error)(error.message, code=error.code, errors=faults)


def _faults(kind: JobKind, args: JobArgs) -> Iterator[FieldError]:
    if kind not in ALLOWED:
        known = ", ".join(sorted(ALLOWED))
        yield FieldError(field="kind", message=f"{kind} is not asked for this way; these are: {known}.")
        return
    given = {name: value for name, value in args if value is not None}
    for name in sorted(set(given) - ALLOWED[kind]):
        yield FieldError(field=f"args.{name}", message=f"{kind} does not take it.")
    if kind in CHANGING and not given:
        takes = ", ".join(sorted(ALLOWED[kind]))
        yield FieldError(field="args", message=f"Say what shall change: {takes}.")
    if args.grace_seconds is not None and not 0 <= args.grace_seconds <= _MOST_GRACE:
        yield FieldError(field="args.grace_seconds", message=f"It is between 0 and {_MOST_GRACE}.")
    needed = NEEDED.get(kind)
    if needed is not None and needed not in given:
        yield FieldError(field=f"args.{needed}", message=f"{kind} needs it.")
    if (kind in OF_SNAPSHOTS or args.snapshot is not None) and not _SNAPSHOT.fullmatch(args.snapshot or ""):
        message = "A snapshot's name has 2 to 40 letters, digits, _ and -, and begins with a letter."
        yield FieldError(field="args.snapshot", message=message)
    yield from _keys(args.keys)
    yield from _names(args)
    for fault in _of_container(kind, args):
        yield fault.model_copy(update={"field": f"args.{fault.field}"})


def _keys(keys: Sequence[str] | None) -> Iterator[FieldError]:
    if keys is None:
        return
    if len(keys) > _MOST_KEYS or not keys:
        yield FieldError(field="args.keys", message=f"Name 1 to {_MOST_KEYS} settings, or leave it out.")
    for index, key in enumerate(keys[:_MOST_KEYS]):
        if not _SETTING.fullmatch(key):
            message = f"{texts.shown(key)} is no setting's name, like nameserver or net0."
            yield FieldError(field=f"args.keys.{index}", message=message)


def _names(args: JobArgs) -> Iterator[FieldError]:
    checks = (
        ("storage", _STORAGE, "a storage's name"),
        ("target_node", _NODE, "a node's name"),
        (
            "backup",
            _BACKUP,
            "a backup's volume, like local:backup/vzdump-lxc-101-DATE.tar.zst",
        ),
    )
    for name, pattern, right in checks:
        value = getattr(args, name)
        if value is not None and (not pattern.fullmatch(value) or ".." in value):
            yield FieldError(field=f"args.{name}", message=f"{texts.shown(value)} is not {right}.")


def _of_container(kind: JobKind, args: JobArgs) -> Iterator[FieldError]:
    """Name what no container may hold, by the rules for creations."""
    given = {name: value for name, value in args if name in _LIKE_A_CREATION and value is not None}
    volumes = [index for index, mount in enumerate(args.mounts or ()) if not mount.is_bind]
    for index in volumes:
        message = "Only bind mounts can change; a volume is made with its container."
        yield FieldError(field=f"mounts.{index}.storage", message=message)
    if volumes:
        del given["mounts"]
    if kind is JobKind.BACKUP and (wrong := texts.backup_notes(args.description or "")) is not None:
        yield FieldError(field="description", message=wrong)
    yield from validation.faults(ContainerSpec.model_validate({"hostname": "any", **given}))
