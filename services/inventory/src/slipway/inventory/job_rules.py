"""What a job on a container that exists may be told. Pure; every fault names its field."""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from slipway.contracts.clusters import NodeFacts
from slipway.contracts.containers import ContainerSpec
from slipway.contracts.jobs import JobArgs
from slipway.contracts.problems import FieldError, Invalid, SlipwayError
from slipway.contracts.values import JobKind
from slipway.inventory import domain, placement, rules
from slipway.inventory.rules import restricted
from slipway.runtime.reach import NONE, Reach

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
            }
        ),
        JobKind.SNAPSHOT: frozenset({"snapshot", "description"}),
        JobKind.ROLLBACK: frozenset({"snapshot"}),
        JobKind.SNAPSHOT_DELETE: frozenset({"snapshot"}),
        JobKind.BACKUP: frozenset({"storage", "mode", "description"}),
        JobKind.RESTORE: frozenset({"backup"}),
        JobKind.CLONE: frozenset({"hostname", "vmid", "target_node", "storage", "snapshot"}),
        JobKind.MIGRATE: frozenset({"target_node"}),
    }
)
"""Which arguments each kind takes; a kind that is not here can't be asked for this way."""
CHANGING = frozenset({JobKind.RESIZE, JobKind.CONFIGURE})
"""Kinds that need at least one argument."""
NEEDED: Mapping[JobKind, str] = MappingProxyType(
    {JobKind.RESTORE: "backup", JobKind.CLONE: "hostname", JobKind.MIGRATE: "target_node"}
)
"""The argument that a kind can't do without."""
_OF_SPEC = frozenset(
    {"features", "networks", "nameserver", "searchdomain", "mounts", "devices", "hookscript"}
)
_SETTLED: Mapping[str, object] = MappingProxyType(
    {
        "template": None,
        "variables": {},
        "packages": (),
        "scripts": None,
        "mounts": (),
        "devices": (),
        "hookscript": None,
    }
)
"""What a creation has settled: it is not looked at again."""
NEEDS_FACTS = _OF_SPEC | {"target_node", "backup"}
"""Arguments that are checked against what is known of container and nodes."""
OF_SNAPSHOTS = frozenset({JobKind.SNAPSHOT, JobKind.ROLLBACK, JobKind.SNAPSHOT_DELETE})
"""Kinds that need a snapshot's name."""
_SNAPSHOT = re.compile(r"(?!current$)[A-Za-z][A-Za-z0-9_-]{1,39}")
"""Official schema: `pve-configid`, up to 40 characters; `current` is Proxmox's own."""
_STORAGE = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]*[a-zA-Z0-9]")
_BACKUP = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]*:[a-zA-Z0-9][a-zA-Z0-9_./:-]{0,250}")
_OWNER = re.compile(r":backup/(?:vzdump-(?:lxc|openvz|qemu)-|ct/|vm/)(?P<vmid>[1-9][0-9]{2,8})[-/]")
"""Whose a backup is: vzdump's archives and those of a Proxmox Backup Server say so in their names."""
_NODE = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_LIMITS = {
    "grace_seconds": (0, 3600),
    "cores": (1, 8192),
    "memory": (16, 16_777_216),
    "swap": (0, 16_777_216),
    "disk": (0.1, 131_072),
    "vmid": (100, 999_999_999),
}
_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_+.-]{0,62}")
_STARTUP = re.compile(r"(\d+|order=\d+)?(,?(up|down)=\d+){0,2}")
LONGEST_DESCRIPTION = 7000
"""Of Proxmox's 8192 characters (official schema), so that Slipway's own line fits in."""


class JobInvalid(Invalid):
    """The job can't be as it was asked for."""

    code = "job.invalid"


def check(kind: JobKind, args: JobArgs) -> None:
    """Refuse what a kind does not take, or what is out of its limits; all faults together."""
    faults = tuple(_faults(kind, args))
    if faults:
        told = "; ".join(f"{each.field}: {each.message}" for each in faults)
        raise JobInvalid(told, errors=faults)


def check_against(
    spec: ContainerSpec, args: JobArgs, nodes: Sequence[NodeFacts], node: str, reach: Reach = NONE
) -> None:
    """Refuse what does not fit the container or its cluster; faults name the arguments.

    Args:
        spec: the container's.
        args: what is asked for.
        nodes: all known ones of the cluster.
        node: where the container is.
        reach: what the operator allows of the host.
    """
    if args.target_node is not None:
        try:
            target = placement.choose_node(args.target_node, nodes)
        except SlipwayError as error:
            raise _renamed(error, {"node": "target_node"}) from error
        if args.hostname is None and target.node != node:
            _refuse_missing_storages(spec, target)
    facts = next((each for each in nodes if each.node == node), None)
    given = {name: value for name, value in args if name in _OF_SPEC and value is not None}
    if not given:
        return
    try:
        restricted.check(ContainerSpec.model_validate({"hostname": spec.hostname, **given}), reach)
        _refuse_volumes(spec, args)
        if facts is not None:
            rules.check(spec.model_copy(update={**_SETTLED, **given}), None, facts, reach)
    except SlipwayError as error:
        raise _renamed(error, {}) from error


def _refuse_missing_storages(spec: ContainerSpec, target: NodeFacts) -> None:
    """Refuse a move to a node without the storages that the disks are on; a copy may name another."""
    able = {each.name for each in domain.disk_storages(target)}
    if missing := sorted(placement.named_storages(spec) - able):
        has = ", ".join(sorted(able)) or "none"
        message = (
            f"Node {target.node} has no storage {', '.join(missing)}, where disks of this container are. "
            f"For disks it has: {has}."
        )
        raise JobInvalid(message, errors=[FieldError(field="args.target_node", message=message)])


def refuse_foreign_backup(args: JobArgs, vmid: int) -> None:
    """Refuse a backup that is another VMID's: restored here, it would make this container someone else."""
    found = _OWNER.search(args.backup or "")
    if found is not None and int(found["vmid"]) != vmid:
        message = (
            f"{args.backup} is a backup of VMID {found['vmid']}, and this container is {vmid}: it would "
            "become someone else. Its own backups are listed by GET /api/v1/containers/{id}/backups."
        )
        raise JobInvalid(message, errors=[FieldError(field="args.backup", message=message)])


def _refuse_volumes(spec: ContainerSpec, args: JobArgs) -> None:
    """Refuse volumes among the mounts of a configure, and bind mounts where volumes are."""
    taken = {mount.path for mount in spec.mounts if not mount.is_bind}
    faults = []
    for index, mount in enumerate(args.mounts or ()):
        if not mount.is_bind:
            message = "Only bind mounts can change; a volume is made with its container."
            faults.append(FieldError(field=f"mounts.{index}.storage", message=message))
        elif mount.path in taken:
            faults.append(FieldError(field=f"mounts.{index}.path", message="A volume is mounted there."))
    if faults:
        raise JobInvalid("; ".join(each.message for each in faults), errors=faults)


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
    for name, (least, most) in _LIMITS.items():
        value = given.get(name)
        if value is not None and not least <= value <= most:
            yield FieldError(field=f"args.{name}", message=f"{value} is not between {least} and {most}.")
    needed = NEEDED.get(kind)
    if needed is not None and needed not in given:
        yield FieldError(field=f"args.{needed}", message=f"{kind} needs it.")
    if (kind in OF_SNAPSHOTS or args.snapshot is not None) and not _SNAPSHOT.fullmatch(args.snapshot or ""):
        message = "A snapshot's name has 2 to 40 letters, digits, _ and -, and begins with a letter."
        yield FieldError(field="args.snapshot", message=message)
    yield from _names(args)
    yield from _texts(args)


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
            yield FieldError(field=f"args.{name}", message=f"{value!r} is not {right}.")


def _texts(args: JobArgs) -> Iterator[FieldError]:
    if args.hostname is not None and not _HOSTNAME.fullmatch(args.hostname):
        message = f"{args.hostname!r} is not 1 to 63 letters, digits and hyphens, no hyphen at either end."
        yield FieldError(field="args.hostname", message=message)
    if args.startup is not None and not _STARTUP.fullmatch(args.startup):
        yield FieldError(field="args.startup", message="It is like order=1,up=30,down=60.")
    for index, tag in enumerate(args.tags or ()):
        if not _TAG.fullmatch(tag):
            message = f"{tag!r} is not a tag: letters, digits, _ + . -"
            yield FieldError(field=f"args.tags.{index}", message=message)
    text = args.description or ""
    if len(text) > LONGEST_DESCRIPTION or not text.replace("\n", "").replace("\t", "").isprintable():
        message = f"It has up to {LONGEST_DESCRIPTION} printable characters."
        yield FieldError(field="args.description", message=message)
    if re.search(r"^slipway: ", text, re.MULTILINE):
        message = "A line that begins with `slipway: ` is Slipway's own mark."
        yield FieldError(field="args.description", message=message)
