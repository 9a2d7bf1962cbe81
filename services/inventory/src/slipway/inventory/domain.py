"""What inventory decides: which node, which places, which VMID, and where a container's life goes.

Pure: facts and randomness are arguments. What a request may not be is in `rules`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from slipway.contracts.clusters import ClusterSpec, NodeFacts, StorageFact, VmidRange
from slipway.contracts.containers import ContainerSpec, NetworkSpec
from slipway.contracts.jobs import JobArgs, RunRecord, StepStatus
from slipway.contracts.problems import Conflict, FieldError, Invalid, SlipwayError, Unavailable
from slipway.contracts.templates import Manifest, Resources, Variable
from slipway.contracts.values import JobKind, JobState, Lifecycle, Phase, Power

FIRST_VMID = 100
LAST_VMID = 999_999_999
"""Proxmox takes VMIDs from 100 to 999,999,999 (official schema, `pve-vmid`)."""
ALL_VMIDS = VmidRange(first=FIRST_VMID, last=LAST_VMID)


class Trigger(StrEnum):
    """What moves a container's life."""

    CREATION_SUCCEEDED = "creation-succeeded"
    CREATION_FAILED = "creation-failed"
    """Something of it may exist on the host."""
    CREATION_LEFT_NOTHING = "creation-left-nothing"
    """It failed before anything existed; name and VMID are free."""
    RETRY_ACCEPTED = "retry-accepted"
    DELETION_ACCEPTED = "deletion-accepted"
    DELETION_FAILED = "deletion-failed"
    """Something of it may be gone, or it was no whole one before."""
    DELETION_LEFT_IT = "deletion-left-it"
    """It ended before anything was removed: the container is what it was."""
    DELETION_SUCCEEDED = "deletion-succeeded"
    FOUND_GONE = "found-gone"
    """Proxmox says that its VMID is free: someone removed it, or what was left of it."""
    FORGOTTEN = "forgotten"
    SEEN_AGAIN = "seen-again"
    REMAINS_SEEN_AGAIN = "remains-seen-again"
    """It was forgotten as one whose creation or deletion had failed."""


TRANSITIONS: Mapping[tuple[Lifecycle, Trigger], Lifecycle] = MappingProxyType(
    {
        (Lifecycle.CREATING, Trigger.CREATION_SUCCEEDED): Lifecycle.READY,
        (Lifecycle.CREATING, Trigger.CREATION_FAILED): Lifecycle.FAILED,
        (Lifecycle.CREATING, Trigger.CREATION_LEFT_NOTHING): Lifecycle.DELETED,
        (Lifecycle.FAILED, Trigger.RETRY_ACCEPTED): Lifecycle.CREATING,
        (Lifecycle.DELETED, Trigger.RETRY_ACCEPTED): Lifecycle.CREATING,
        (Lifecycle.READY, Trigger.DELETION_ACCEPTED): Lifecycle.DELETING,
        (Lifecycle.FAILED, Trigger.DELETION_ACCEPTED): Lifecycle.DELETING,
        (Lifecycle.DELETING, Trigger.DELETION_FAILED): Lifecycle.FAILED,
        (Lifecycle.DELETING, Trigger.DELETION_LEFT_IT): Lifecycle.READY,
        (Lifecycle.DELETING, Trigger.DELETION_SUCCEEDED): Lifecycle.DELETED,
        (Lifecycle.READY, Trigger.FOUND_GONE): Lifecycle.DELETED,
        (Lifecycle.FAILED, Trigger.FOUND_GONE): Lifecycle.DELETED,
        (Lifecycle.READY, Trigger.FORGOTTEN): Lifecycle.DELETED,
        (Lifecycle.FAILED, Trigger.FORGOTTEN): Lifecycle.DELETED,
        (Lifecycle.DELETED, Trigger.SEEN_AGAIN): Lifecycle.READY,
        (Lifecycle.DELETED, Trigger.REMAINS_SEEN_AGAIN): Lifecycle.FAILED,
    }
)


class IllegalTransition(Conflict):
    """The container's state does not allow it."""

    code = "container.illegal-transition"


class NodeUnknown(Invalid):
    """There is no such node in the cluster."""

    code = "node.not-found"


class FactsMissing(Unavailable):
    """What has to be known of the node is not known yet."""

    code = "node.facts-missing"


class OsTemplateNotFound(Invalid):
    """No archive fits, neither on the node's storages nor for download."""

    code = "ostemplate.not-found"


class VmidTaken(Conflict):
    """The VMID is in use."""

    code = "vmid.taken"


class NoVmidLeft(Conflict):
    """All VMIDs that Slipway may choose from are in use."""

    code = "vmid.none-left"


def advance(lifecycle: Lifecycle, trigger: Trigger) -> Lifecycle:
    """Give the state that follows.

    Raises:
        IllegalTransition: if the table has no such row.
    """
    following = TRANSITIONS.get((lifecycle, trigger))
    if following is None:
        raise IllegalTransition(f"A container that is {lifecycle} can't take {trigger}.", state=lifecycle)
    return following


KEEPING = frozenset({Lifecycle.READY, Lifecycle.FAILED})
"""States in which a container takes jobs that leave its life as it is."""


def refuse_unless_it_lives(lifecycle: Lifecycle, kind: JobKind) -> None:
    """Raise `IllegalTransition` unless a container in this state takes such a job."""
    if lifecycle not in KEEPING:
        raise IllegalTransition(f"A container that is {lifecycle} takes no {kind}.", state=lifecycle)


REMOVES = "delete.task"
"""The step of a deletion with which the container begins to go."""


def refuse_deleted(lifecycle: Lifecycle) -> None:
    """Raise `IllegalTransition` for a container of which nothing is kept any more."""
    if lifecycle is Lifecycle.DELETED:
        raise IllegalTransition("The container is deleted; nothing is kept of it any more.", state=lifecycle)


def outcome(record: RunRecord, was: Lifecycle | None = None) -> Trigger:
    """What a job's end means for its container; a cancelled job counts as failed.

    Args:
        record: the last one of a creation, a copy or a deletion.
        was: what the container was before its deletion.
    """
    succeeded = record.state is JobState.SUCCEEDED
    if record.kind is not JobKind.DELETE:
        if succeeded:
            return Trigger.CREATION_SUCCEEDED
        return Trigger.CREATION_FAILED if record.exists_on_host else Trigger.CREATION_LEFT_NOTHING
    if succeeded:
        return Trigger.DELETION_SUCCEEDED
    is_whole = was is Lifecycle.READY and not any(step.name == REMOVES for step in record.steps)
    return Trigger.DELETION_LEFT_IT if is_whole else Trigger.DELETION_FAILED


_POWER_AFTER = {
    JobKind.CREATE: Power.RUNNING,
    JobKind.START: Power.RUNNING,
    JobKind.RESTART: Power.RUNNING,
    JobKind.STOP: Power.STOPPED,
    JobKind.SHUTDOWN: Power.STOPPED,
}


def power_after(kind: JobKind, state: JobState) -> Power | None:
    """The power that a job's success proves; None where it proves none."""
    return _POWER_AFTER.get(kind) if state is JobState.SUCCEEDED else None


class JobEnded(Conflict):
    """A job that has ended never changes."""

    code = "job.ended"


class NotCancellable(Conflict):
    """The job is past its point of no return."""

    code = "job.not-cancellable"


def refuse_cancel(state: JobState, record: RunRecord | None) -> None:
    """Raise unless a job may be cancelled now."""
    refuse_ended(state)
    step = _unfinished(record)
    if step is not None:
        raise NotCancellable(
            f"Step {step.name} can't be left half done; the job ends by itself in a moment.", step=step.name
        )


def _unfinished(record: RunRecord | None) -> StepStatus | None:
    """Give the step that runs and can't be left half done."""
    step = next((each for each in (record.steps if record else ()) if each.status == "started"), None)
    return step if step is not None and not step.is_cancellable else None


def refuse_ended(state: JobState) -> None:
    """Raise `JobEnded` for a job that has."""
    if state.is_terminal:
        raise JobEnded(f"The job has ended: {state}.", state=state)


def refuse_to_destroy(kind: JobKind, *, wanted: bool) -> None:
    """Raise if a job shall destroy what it has not made."""
    if wanted and not kind.makes:
        message = f"Only a job that makes a container may destroy it; this is a {kind}."
        raise Invalid(message, errors=[FieldError(field="destroy", message=message)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What of a job's container, and of the jobs after it, decides what can be done with it."""

    lifecycle: Lifecycle
    is_busy: bool
    """Another job works on it."""
    is_outdated: bool
    """It was done again, or it made what was made or deleted anew."""


def actions(
    kind: JobKind, state: JobState, record: RunRecord | None = None, standing: Standing | None = None
) -> tuple[str, ...]:
    """Name what makes sense with a job now; `standing` is None for a batch."""
    if not state.is_terminal:
        return ("cancel",) if _unfinished(record) is None else ()
    if state is JobState.SUCCEEDED:
        return ()
    if standing is None:
        return ("retry",)
    if standing.is_busy:
        return ()
    retry = ("retry",) if not standing.is_outdated and _takes(kind, standing.lifecycle) else ()
    return (*retry, "delete") if kind.makes and standing.lifecycle in KEEPING else retry


def _takes(kind: JobKind, lifecycle: Lifecycle) -> bool:
    """Whether a container in this state takes such a job once more."""
    if kind.makes:
        return (lifecycle, Trigger.RETRY_ACCEPTED) in TRANSITIONS
    return lifecycle in KEEPING


def after_success(spec: ContainerSpec, kind: JobKind, args: JobArgs) -> ContainerSpec:
    """Give what is known of a container after a job has changed its config."""
    if kind is JobKind.MIGRATE:
        return spec.model_copy(update={"node": args.target_node})
    if kind not in {JobKind.RESIZE, JobKind.CONFIGURE}:
        return spec
    changed = {
        name: value for name, value in args if value is not None and name in ContainerSpec.model_fields
    }
    if args.mounts is not None:
        changed["mounts"] = (*(mount for mount in spec.mounts if not mount.is_bind), *args.mounts)
    if args.hookscript is not None:
        changed["hookscript"] = args.hookscript or None
    return spec.model_copy(update=changed)


def copied(spec: ContainerSpec, args: JobArgs, node: str) -> ContainerSpec:
    """Give what a copy is: its own name and place, and MACs that Proxmox makes anew."""
    networks = tuple(each.model_copy(update={"hwaddr": None}) for each in spec.networks)
    changes = {"hostname": args.hostname, "node": node, "vmid": args.vmid, "networks": networks}
    copy = spec.model_copy(update=changes)
    if args.storage is None:
        return copy
    return with_disks(copy, dict.fromkeys(("/", *(mount.path for mount in spec.mounts)), args.storage))


def with_disks(spec: ContainerSpec, disks: Mapping[str, str]) -> ContainerSpec:
    """Give a container whose disks are on these storages, by guest path; all else stays."""
    mounts = tuple(
        mount if mount.is_bind else mount.model_copy(update={"storage": disks.get(mount.path, mount.storage)})
        for mount in spec.mounts
    )
    return spec.model_copy(update={"storage": disks.get("/", spec.storage), "mounts": mounts})


def first_step(record: RunRecord | None, phase: Phase | None, before: str | None = None) -> str | None:
    """Where a retry begins: the wanted phase, else the step that failed; None if nothing exists yet.

    A job that ended before its first step is done again from where it (`before`) was to begin; one that ended
    between two steps from its first phase, whose steps find what is there.
    """
    if record is None or not record.exists_on_host:
        return None
    if phase is not None:
        return phase
    if before is not None and not record.steps:
        return before
    undone = (step.name for step in record.steps if step.status not in {"finished", "skipped"})
    return next(undone, Phase.CREATE)


def with_addresses(spec: ClusterSpec, nodes: Sequence[NodeFacts]) -> ClusterSpec:
    """Give how a cluster is reached, with the addresses that were seen where none was given."""
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


def check_range(vmids: VmidRange) -> None:
    """Raise if Proxmox does not take these VMIDs, or there are none of them."""
    for field, vmid in (("first", vmids.first), ("last", vmids.last)):
        if not FIRST_VMID <= vmid <= LAST_VMID:
            raise at(field, Invalid, f"VMIDs go from {FIRST_VMID} to {LAST_VMID}.")
    if vmids.last < vmids.first:
        raise at("last", Invalid, f"The range ends at {vmids.last}, before it begins.")


def choose_vmid(
    wanted: int | None, *, used: Iterable[int], claimed: Iterable[int], within: VmidRange = ALL_VMIDS
) -> int:
    """Choose the VMID: the wanted one, else the lowest of the range that nobody uses or claims.

    Raises:
        VmidTaken: if the wanted one is in use.
        NoVmidLeft: if all of the range are.
    """
    taken = set(used) | set(claimed)
    if wanted is None:
        found = next((vmid for vmid in range(within.first, within.last + 1) if vmid not in taken), None)
        if found is None:
            raise at(
                "vmid",
                NoVmidLeft,
                f"All VMIDs from {within.first} to {within.last} are in use in this cluster. Widen its range "
                "(PUT /api/v1/clusters/{cluster}/vmid-range), delete a container, or name a VMID.",
            )
        return found
    if wanted in taken:
        raise at(
            "vmid", VmidTaken, f"VMID {wanted} is in use in this cluster; leave it out to get a free one."
        )
    return wanted


def choose_archive(wanted: str, node: NodeFacts) -> str:
    """Choose the OS template: a volume on the node, else an archive that it can download.

    Args:
        wanted: a volume (`local:vztmpl/...`) or the start of an archive's name.
        node: whose volumes and downloads are looked through; the newest by name wins.
    """
    if ":" in wanted and wanted in node.os_templates:
        return wanted
    there = [volume for volume in node.os_templates if volume.rpartition("/")[2].startswith(wanted)]
    remote = [archive for archive in node.appliances if archive.startswith(wanted)]
    if ":" in wanted or not (there or remote):
        known = ", ".join(sorted(node.os_templates)) or "none"
        message = (
            f"Node {node.node} has no OS template {wanted!r} and offers none for download. It has: {known}."
        )
        raise at("ostemplate", OsTemplateNotFound, message)
    return max(there) if there else max(remote)


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
        "ostemplate": choose_archive(spec.ostemplate or (manifest.ostemplate if manifest else ""), node),
        "variables": _variables(spec, manifest),
    }
    return spec.model_copy(update=filled)


def secret_variables(manifest: Manifest | None, given: Iterable[str]) -> tuple[Variable, ...]:
    """Give the template's secret variables; refuse given ones that it does not have, and missing ones."""
    known = {each.name: each for each in (manifest.variables if manifest else ()) if each.is_secret}
    names = set(given)
    faults = [(name, "The template has no such secret variable.") for name in sorted(names - set(known))]
    faults += [
        (name, "The template needs a value.")
        for name, each in known.items()
        if each.is_required and each.generate is None and name not in names
    ]
    if faults:
        errors = [FieldError(field=f"variables.{name}", message=message) for name, message in faults]
        raise Invalid("; ".join(f"{each.field}: {each.message}" for each in errors), errors=errors)
    return tuple(known.values())


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
    """Give what is free there in bytes, as far as it is known."""
    return storage.free_bytes or 0


def at(field: str, error: type[SlipwayError], message: str) -> SlipwayError:
    """Make an error that names a field."""
    return error(message, errors=[FieldError(field=field, message=message)])
