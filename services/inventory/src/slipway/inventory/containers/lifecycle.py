"""The lifecycle of containers, and which actions their state and their jobs allow: tables and refusals."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunRecord, StepStatus
from slipway.contracts.problems import Conflict, Invalid
from slipway.contracts.values import JobState, Lifecycle, Phase, Power
from slipway.inventory.faults import at
from slipway.inventory.jobs.remedies import instead, is_retry_hopeless


class Trigger(StrEnum):
    """The causes of transitions."""

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
    RESTORE_LOST_IT = "restore-lost-it"
    """Proxmox had removed it before the restore failed: nothing of it is on the host."""
    RESTORED = "restored"
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
        (Lifecycle.READY, Trigger.RESTORE_LOST_IT): Lifecycle.FAILED,
        (Lifecycle.FAILED, Trigger.RESTORE_LOST_IT): Lifecycle.FAILED,
        (Lifecycle.READY, Trigger.RESTORED): Lifecycle.READY,
        (Lifecycle.FAILED, Trigger.RESTORED): Lifecycle.READY,
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


def advance(lifecycle: Lifecycle, trigger: Trigger) -> Lifecycle:
    """Return the state that follows.

    Raises:
        IllegalTransition: if the table has no such row.
    """
    following = TRANSITIONS.get((lifecycle, trigger))
    if following is None:
        raise IllegalTransition(f"A container that is {lifecycle} can't take {trigger}.", state=lifecycle)
    return following


def moved(lifecycle: Lifecycle, trigger: Trigger) -> Mapping[str, Lifecycle | None]:
    """Return what changes in a container's row when its life moves on."""
    if lifecycle is Lifecycle.DELETED and trigger is Trigger.DELETION_ACCEPTED:
        raise IllegalTransition("The container is deleted already.", state=lifecycle)
    return {
        "lifecycle": advance(lifecycle, trigger),
        "forgotten_as": lifecycle if trigger is Trigger.FORGOTTEN else None,
        "deleting_as": lifecycle if trigger is Trigger.DELETION_ACCEPTED else None,
    }


HOLDING = frozenset({Lifecycle.READY, Lifecycle.FAILED})
"""States in which a container takes jobs that leave its life as it is."""


def refuse_unless_it_lives(lifecycle: Lifecycle, kind: JobKind) -> None:
    """Raise `IllegalTransition` unless a container in this state takes such a job."""
    if lifecycle not in HOLDING:
        raise IllegalTransition(f"A container that is {lifecycle} takes no {kind}.", state=lifecycle)


REPLACES = "restore.task"
"""The step of a restore in which the container is removed and made anew."""
REMOVES = "delete.task"
"""The step of a deletion with which the container begins to go."""


def refuse_deleted(lifecycle: Lifecycle) -> None:
    """Raise `IllegalTransition` for a container of which nothing is stored any more."""
    if lifecycle is Lifecycle.DELETED:
        raise IllegalTransition(
            "The container is deleted; nothing is stored of it any more.", state=lifecycle
        )


def outcome(record: RunRecord, was: Lifecycle | None = None) -> Trigger:
    """Return what a job's end means for its container; a cancelled job counts as failed.

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


LOST = "container-lost"
"""A warning: a restore failed after Proxmox had removed it. It keeps name and VMID for the next restore."""


def restore_outcome(record: RunRecord) -> Trigger | None:
    """Return what a job's end means for whether its container is there; None for all but restores."""
    if record.kind is not JobKind.RESTORE:
        return None
    if record.state is JobState.SUCCEEDED:
        return Trigger.RESTORED
    has_begun = any(step.name == REPLACES for step in record.steps)
    return Trigger.RESTORE_LOST_IT if has_begun and not record.exists_on_host else None


_POWER_AFTER = {
    JobKind.CREATE: Power.RUNNING,
    JobKind.START: Power.RUNNING,
    JobKind.RESTART: Power.RUNNING,
    JobKind.STOP: Power.STOPPED,
    JobKind.SHUTDOWN: Power.STOPPED,
}


def power_after(kind: JobKind, state: JobState) -> Power | None:
    """Return the power that a job's success proves; None where it proves none."""
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
    """Return the step that runs and can't be left half done."""
    step = next((each for each in (record.steps if record else ()) if each.status == "started"), None)
    return step if step is not None and not step.is_cancellable else None


def refuse_ended(state: JobState) -> None:
    """Raise `JobEnded` for a job that has."""
    if state.is_terminal:
        raise JobEnded(f"The job has ended: {state}.", state=state)


def refuse_to_destroy(kind: JobKind, *, is_requested: bool) -> None:
    """Raise if a job shall destroy what it has not made."""
    if is_requested and not kind.creates_container:
        raise at("destroy", Invalid, f"Only a job that makes a container may destroy it; this is a {kind}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state of a job's container and of later jobs, which decides what can be done with the job."""

    lifecycle: Lifecycle
    is_busy: bool
    """Another job works on it."""
    is_outdated: bool
    """It was done again, or it made what was made or deleted anew."""


def actions(
    kind: JobKind, state: JobState, record: RunRecord | None = None, standing: Standing | None = None
) -> tuple[str, ...]:
    """Return what makes sense with a job now; `standing` is None if its container is unknown."""
    if not state.is_terminal:
        return ("cancel",) if _unfinished(record) is None else ()
    if state is JobState.SUCCEEDED:
        return ()
    if standing is None:
        return ("retry",)
    if standing.is_busy:
        return ()
    code = record.error.code if record is not None and record.error is not None else None
    offered = [
        verb
        for verb in instead(code)
        if not standing.is_outdated and (verb != "restore" or standing.lifecycle is Lifecycle.FAILED)
    ]
    is_hopeless = is_retry_hopeless(code, creates_container=kind.creates_container)
    if not standing.is_outdated and not is_hopeless and _takes(kind, standing.lifecycle):
        offered.append("retry")
    is_deleted_next = kind.creates_container or "restore" in offered
    return (*offered, "delete") if is_deleted_next and standing.lifecycle in HOLDING else tuple(offered)


def batch_actions(kind: JobKind, state: JobState, codes: Collection[str | None]) -> tuple[str, ...]:
    """Return what makes sense with a batch now.

    Args:
        kind: of its items.
        state: where it stands.
        codes: the errors of the items that did not succeed; None for one without an error, as of a cancel.
    """
    if not state.is_terminal:
        return ("cancel",)
    can_help = any(not is_retry_hopeless(code, creates_container=kind.creates_container) for code in codes)
    return ("retry",) if can_help else ()


def _takes(kind: JobKind, lifecycle: Lifecycle) -> bool:
    """Return whether a container in this state takes such a job once more."""
    if kind.creates_container:
        return (lifecycle, Trigger.RETRY_ACCEPTED) in TRANSITIONS
    return lifecycle in HOLDING


def first_step(record: RunRecord | None, phase: Phase | None, before: str | None = None) -> str | None:
    """Return where a retry begins: at a phase, else at the step that failed; None if nothing exists yet.

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
