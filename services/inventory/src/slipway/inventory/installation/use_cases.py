"""A paused installation goes on: the difference is shown, confirmed, and what was accepted before ends.

A job that is not named is cancelled without touching a host: its run may have ended on Proxmox long ago,
under a Slipway that is gone. A named one goes on from its record.
"""

from typing import Any

from sqlalchemy import Row, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.installation import (
    Installation,
    InstallationState,
    PauseCause,
    ResumeInstallation,
    ResumePlan,
    WaitingJob,
)
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob
from slipway.contracts.problems import Invalid
from slipway.inventory.containers.looks import Looks
from slipway.inventory.decision import AuditNote, Decision, Write
from slipway.inventory.faults import at
from slipway.inventory.installation import rules
from slipway.inventory.installation.store import (
    drop_commands,
    installation_of,
    installation_row,
    living,
    present_clusters,
    resume,
    unended_jobs,
)
from slipway.inventory.jobs.queue import cancel_order
from slipway.inventory.tables import jobs
from slipway.runtime.database.outbox import Outgoing
from slipway.runtime.process.clock import now

DROPPED = (
    "It was accepted before Slipway was paused, and was not named when it was resumed; no host was touched."
)


async def plan_resume(tx: AsyncConnection, looks: Looks, *, for_update: bool = False) -> ResumePlan:
    """Compare what is stored with what monitor has seen since the pause."""
    row = await installation_row(tx, for_update=for_update)
    installation = installation_of(row)
    containers, before = await living(tx), row.baseline or {}
    plan: dict[str, list[Any]] = {"unseen_clusters": [], "missing": [], "changed": [], "unknown": []}
    for cluster in await present_clusters(tx):
        vmids = looks.seen_since(cluster.id, installation.since)
        here: list[Any] = [each for each in containers if each.cluster_id == cluster.id]
        if vmids is None:
            plan["unseen_clusters"].append(cluster.name)
            continue
        plan["missing"] += rules.missing(here, vmids)
        plan["changed"] += rules.changed(here, vmids, before)
        plan["unknown"] += rules.unknown(cluster.name, here, vmids)
    waiting = [_waiting(job) for job in await unended_jobs(tx)]
    shown = ResumePlan.model_validate({"installation": installation, "hash": "", "jobs": waiting, **plan})
    return shown.model_copy(update={"hash": rules.hash_of(shown)})


async def decide_resume(
    tx: AsyncConnection, request: ResumeInstallation, looks: Looks
) -> Decision[Installation]:
    """Let the installation act again, and cancel the jobs that are not named."""
    plan = await plan_resume(tx, looks, for_update=True)
    rules.refuse_resume(plan, request.hash, despite_unseen=request.despite_unseen)
    rows = await unended_jobs(tx)
    if others := sorted(set(request.keep) - {row.id for row in rows}):
        raise at("keep", Invalid, f"There is no job {others[0]} that has not ended.")
    resumed = [row for row in rows if row.id in request.keep]
    dropped = [row for row in rows if row.id not in request.keep]
    waiting = (jobs.c.id.in_([row.id for row in dropped]), jobs.c.released_at.is_(None))
    generation, cause = plan.installation.generation, plan.installation.cause
    active = {"state": InstallationState.ACTIVE, "since": now(), "cause": None, "reason": None}
    return Decision(
        reply=plan.installation.model_copy(update=active),
        writes=[
            resume(active["since"]),  # type: ignore[arg-type]  # it is the moment
            drop_commands(),
            Write(statement=update(jobs).where(*waiting).values(released_at=now())),
        ],
        events=[
            *(_drop(row, generation) for row in dropped),
            # Of a restored installation the commands are not on the bus any more.
            *(_again(row, generation) for row in resumed if row.released_at and cause is PauseCause.RESTORED),
        ],
        released=sorted({(row.cluster_id, row.node) for row in resumed if row.released_at is None}),
        audit=[
            AuditNote(
                action="installation.resume",
                target=plan.installation.id,
                details={"cause": str(cause), "dropped": str(len(dropped)), "resumed": str(len(resumed))},
            ),
            *(
                AuditNote(
                    action="job.drop",
                    target=row.container_id or row.id,
                    details={"job": row.id, "kind": row.kind, "reason": DROPPED},
                )
                for row in dropped
            ),
        ],
    )


def _drop(row: Row[Any], generation: int) -> Outgoing:
    order = cancel_order(RunJob.model_validate(row.command)).model_copy(update={"abandon": DROPPED})
    return Outgoing(message=order, message_id=f"job:{row.id}:dropped:{generation}")


def _again(row: Row[Any], generation: int) -> Outgoing:
    return Outgoing(message=RunJob.model_validate(row.command), message_id=f"job:{row.id}:run:{generation}")


def _waiting(row: Row[Any]) -> WaitingJob:
    shown = ("id", "kind", "state", "hostname", "vmid", "cluster", "actor", "created_at")
    values = {name: getattr(row, name) for name in shown}
    return WaitingJob(**values, destroys=JobKind(row.kind).destroys)
