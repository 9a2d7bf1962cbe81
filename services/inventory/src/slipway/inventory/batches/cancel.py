"""Cancels batches: jobs that have not ended are ordered to end, unless a step can't be left half done."""

from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.bulk import BatchPlan
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob, RunRecord
from slipway.contracts.message import Id
from slipway.contracts.values import JobState
from slipway.inventory.batches import rules
from slipway.inventory.batches.choice import plan_item_of
from slipway.inventory.batches.items import batch_state
from slipway.inventory.batches.rules import BatchCommand, counted
from slipway.inventory.batches.store import lock_batch, tallies_of
from slipway.inventory.containers.lifecycle import NotCancellable, refuse_cancel
from slipway.inventory.decision import AuditNote, Decision, Write
from slipway.inventory.jobs.queue import cancel_order, lock_queue
from slipway.inventory.jobs.store import JobNotFound, job_row, update_job
from slipway.inventory.tables import ACTIVE, clusters, containers, jobs
from slipway.runtime.database.outbox import Outgoing
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id


async def decide_batch_cancel(tx: AsyncConnection, batch: Id) -> Decision[None]:
    """Cancel all jobs of a batch that have not ended; one that waits never begins."""
    await lock_batch(tx, batch)
    row = await _unended(tx, batch)
    command = BatchCommand.model_validate(row.command).model_copy(update={"cancel_requested": True})
    tallies = await tallies_of(tx, [batch])
    state = batch_state(batch, command, counted(tallies[batch].states), row.started_at)
    active = (jobs.c.parent_id == batch, jobs.c.state.in_(ACTIVE))
    nodes = await tx.execute(select(jobs.c.cluster_id, jobs.c.node).where(*active).distinct())
    for cluster, node in sorted((each.cluster_id, each.node) for each in nodes):
        await lock_queue(tx, cluster, node)
    rows = (await tx.execute(select(jobs).where(*active).order_by(jobs.c.id))).all()
    commands = [RunJob.model_validate(each.command) for each in rows if _against_cancel(each) is None]
    waiting = (*active, jobs.c.released_at.is_(None))
    return Decision(
        reply=None,
        writes=[
            Write(statement=update(jobs).where(*waiting).values(released_at=now())),
            update_job(batch, command=command.model_dump(mode="json"), **state.values),
        ],
        events=[*map(_order, commands), *state.events],
        audit=[AuditNote(action="job.cancel", target=batch, outcome="accepted", details={"job": batch})],
    )


async def plan_batch_cancel(tx: AsyncConnection, batch: Id) -> BatchPlan:
    """Return the items that a cancel would end; one that can't be says why."""
    command = BatchCommand.model_validate((await _unended(tx, batch)).command)
    active = (jobs.c.parent_id == batch, jobs.c.state.in_(ACTIVE))
    query = select(jobs.c.state, jobs.c.record, containers, clusters.c.name.label("cluster"))
    query = query.select_from(jobs.join(containers).join(clusters)).where(*active).order_by(jobs.c.id)
    items = tuple(plan_item_of(row, _against_cancel(row)) for row in await tx.execute(query))
    return BatchPlan(kind=command.kind, hash=rules.hash_of(command.kind, command.args, items), items=items)


async def _unended(tx: AsyncConnection, batch: Id) -> Row[Any]:
    """Return a batch's row.

    Raises:
        JobNotFound: if there is no such batch.
        JobEnded: if it has ended.
    """
    row = await job_row(tx, batch)
    if row.kind != JobKind.BATCH:
        raise JobNotFound(f"Job {batch} is no batch.")
    refuse_cancel(JobState(row.state), None)
    return row


def _order(command: RunJob) -> Outgoing:
    return Outgoing(message=cancel_order(command), message_id=f"job:{command.job}:cancel:{new_id()}")


def _against_cancel(row: Row[Any]) -> NotCancellable | None:
    try:
        refuse_cancel(JobState(row.state), RunRecord.model_validate(row.record) if row.record else None)
    except NotCancellable as error:
        return error
    return None
