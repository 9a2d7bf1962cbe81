"""What a paused installation answers, and what is different on Proxmox. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from slipway.contracts.cluster_facts import OwnTask
from slipway.contracts.installation import (
    ChangedContainer,
    InstallationState,
    MissingContainer,
    ResumePlan,
    UnknownGuests,
)
from slipway.contracts.problems import Conflict, Unavailable
from slipway.contracts.values import CONFIG_UNREAD, Lifecycle, Power

_ALLOWED = frozenset(
    {"get", "list", "log", "plan", "plan-cancel", "plan-retry", "reveal", "access", "store", "check"}
    | {"availability", "defaults", "facts", "limits", "next", "request-facts", "search"}
    # The access that is restored may be an old one, and without any nothing can be compared.
    | {"change-access", "host-key", "resume"}
)
"""Verbs of subjects that a paused installation answers; any other one would change something."""
_OF_RUNS = frozenset({"job.secrets", "vmid.replace"})
"""What a run asks: time's move, since it goes on when the pause ends."""
_ON_HOST = frozenset({Lifecycle.READY, Lifecycle.FAILED, Lifecycle.DELETING})
SECOND_COPY = "Somebody else acts with its token"
REMEDY = "`slipway resume --plan` shows what is different and what would run; `slipway resume` goes on."


class InstallationPaused(Conflict):
    """Slipway is paused: it changes nothing until somebody resumes it."""

    code = "installation.paused"


class RunsHeld(Unavailable):
    """Slipway is paused: no run begins or goes on until somebody resumes it."""

    code = "installation.runs-held"
    retry_after_seconds = 10.0


class NotPaused(Conflict):
    """There is nothing to resume."""

    code = "installation.active"


class PlanChanged(Conflict):
    """The difference is another one than the one that was confirmed."""

    code = "installation.plan-changed"


class ClusterUnseen(Conflict):
    """A cluster was not looked at since the pause."""

    code = "installation.cluster-unseen"


class StoredContainer(Protocol):
    """A container's row, as far as it is compared."""

    id: str
    hostname: str
    vmid: int
    cluster: str
    node: str
    power: str
    lifecycle: str
    warnings: Sequence[str]


def is_allowed(subject: str) -> bool:
    """Return whether a paused installation answers a query."""
    return subject.rpartition(".")[2] in _ALLOWED


def refusal(subject: str, reason: str) -> InstallationPaused | RunsHeld:
    """Return why a paused installation does not answer."""
    of_runs = subject.removeprefix("slipway.v1.query.inventory.") in _OF_RUNS
    return RunsHeld(reason) if of_runs else InstallationPaused(f"Slipway is paused: {reason} {REMEDY}")


def missing(containers: Sequence[StoredContainer], vmids: frozenset[int]) -> list[MissingContainer]:
    """Return the containers of a cluster that it does not have."""
    return [
        MissingContainer(id=each.id, hostname=each.hostname, vmid=each.vmid, cluster=each.cluster)
        for each in containers
        if each.lifecycle in _ON_HOST and each.vmid not in vmids
    ]


def unknown(
    cluster: str, containers: Sequence[StoredContainer], vmids: frozenset[int]
) -> list[UnknownGuests]:
    """Return the containers that a cluster has and nothing is stored about."""
    others = sorted(vmids - {each.vmid for each in containers})
    return [UnknownGuests(cluster=cluster, vmids=tuple(others))] if others else []


def changed(
    containers: Sequence[StoredContainer], vmids: frozenset[int], before: Mapping[str, Mapping[str, Any]]
) -> list[ChangedContainer]:
    """Return the containers that are otherwise than they were stored when the pause began."""
    return [
        change
        for each in containers
        if each.id in before and each.vmid in vmids
        for change in [_change(each, before[each.id])]
        if change.power != change.power_before or change.node != change.node_before or change.has_other_config
    ]


def _change(container: StoredContainer, before: Mapping[str, Any]) -> ChangedContainer:
    is_unread = CONFIG_UNREAD in container.warnings and CONFIG_UNREAD not in before["warnings"]
    return ChangedContainer(
        id=container.id,
        hostname=container.hostname,
        vmid=container.vmid,
        cluster=container.cluster,
        power_before=Power(before["power"]),
        power=Power(container.power),
        node_before=before["node"],
        node=container.node,
        has_other_config=is_unread,
    )


def hash_of(plan: ResumePlan) -> str:
    """Return what names a plan: power comes and goes while one reads, so it does not count."""
    content = [
        plan.installation.generation,
        plan.installation.reason,
        sorted(plan.unseen_clusters),
        sorted(each.id for each in plan.missing),
        sorted(each.id for each in plan.jobs),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def refuse_resume(plan: ResumePlan, confirmed: str, *, despite_unseen: bool) -> None:
    """Raise unless this very plan was seen and says enough."""
    if plan.installation.state is InstallationState.ACTIVE:
        raise NotPaused("Slipway is not paused; there is nothing to resume.")
    if plan.hash != confirmed:
        raise PlanChanged(
            "What would happen is not what was confirmed any more: look at the plan again "
            "(`slipway resume --plan`), and confirm that one."
        )
    if plan.unseen_clusters and not despite_unseen:
        clusters = ", ".join(plan.unseen_clusters)
        raise ClusterUnseen(
            f"Nothing is known of the cluster {clusters} since the pause: monitor has not reached it. Wait, "
            "change its access if that is old, or resume with `--despite-unseen`."
        )


def second_copy_reason(task: OwnTask) -> str:
    """Return why an installation pauses when somebody else acts with its token, for people."""
    return (
        f"{SECOND_COPY}: no job here has started the {task.type} of {task.vmid} "
        f"({task.upid}). Another copy of this Slipway runs: stop one of the two for good. If it is a program "
        "that uses the same token, give that one its own."
    )


def restored_reason(backup_at: datetime) -> str:
    """Return why a restored installation is paused, for people."""
    at = f"{backup_at:%Y-%m-%d %H:%M} UTC"
    return f"it was restored from a backup of {at}, and Proxmox may be otherwise by now."
