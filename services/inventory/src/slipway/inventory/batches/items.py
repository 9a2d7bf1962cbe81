"""A batch and its items, as rows: opened, moved by what becomes of the items' jobs, read.

All events of a batch are written under the lock of its row, so that they leave in their order. Whoever
needs that lock and an item's takes the batch's first.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.batches import BatchCounts, BatchItem, JobItem
from slipway.contracts.job_events import JobAccepted, JobDone
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import Job, RunRecord
from slipway.contracts.message import Id, Moment
from slipway.contracts.values import JobState
from slipway.inventory.batches.rules import BatchCommand, counted, ending, moved_count, percent, shortened
from slipway.inventory.containers.lifecycle import batch_actions
from slipway.inventory.decision import AuditNote, Write
from slipway.inventory.tables import batch_items, jobs
from slipway.runtime.database.outbox import Outgoing
from slipway.runtime.process.clock import now


@dataclass(frozen=True, slots=True)
class Opening:
    """A batch that is about to be stored."""

    id: Id
    counts: BatchCounts
    writes: Sequence[Write]
    events: Sequence[Outgoing]
    note: AuditNote


def opened(
    batch: Id, actor: str, command: BatchCommand, items: Sequence[BatchItem], *, retry_of: Id | None = None
) -> Opening:
    """Return a new batch with its items; one of which nothing was accepted ends at once."""
    counts = counted(Counter(str(item.state) for item in items))
    state = standing(batch, command, counts)
    row: dict[str, object] = {
        "id": batch,
        "kind": JobKind.BATCH,
        "actor": actor,
        "command": command.model_dump(mode="json"),
        "retry_of": retry_of,
        "record_sequence": 0,
        "created_at": now(),
        **state.values,
    }
    event = JobAccepted(id=batch, kind=JobKind.BATCH, actor=actor, at=now())
    first = Outgoing(message=event, message_id=f"job:{batch}:accepted", expect_last_subject_sequence=0)
    details = {"job": batch, "kind": str(command.kind), "items": str(counts.total)}
    return Opening(
        id=batch,
        counts=counts,
        writes=[
            Write(statement=insert(jobs).values(row)),
            Write(statement=insert(batch_items), rows=[_row(batch, item) for item in items]),
        ],
        events=[first, *(_fact(batch, item, percent(counts)) for item in items), *state.events],
        note=AuditNote(
            action="batch", target=command.selection or batch, outcome="accepted", details=details
        ),
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a batch stands by its items: what its row says, and the event of its end."""

    values: Mapping[str, object]
    events: Sequence[Outgoing]
    writes: Sequence[Write]


def standing(
    batch: Id, command: BatchCommand, counts: BatchCounts, started_at: Moment | None = None
) -> Standing:
    """Return where a batch stands."""
    state, error = ending(counts, cancel_requested=command.cancel_requested)
    values: dict[str, object] = {"state": state, "percent": percent(counts)}
    if state is not JobState.QUEUED:
        values["started_at"] = started_at or now()
    events = []
    if state.is_terminal:
        values["finished_at"] = now()
        done = JobDone(id=batch, state=state, percent=100, error=error, at=now())
        events = [Outgoing(message=done, message_id=f"job:{batch}:done")]
    write = Write(statement=update(jobs).where(jobs.c.id == batch).values(**values))
    return Standing(values, events, [write])


async def lock_parent(tx: AsyncConnection, record: RunRecord) -> None:
    """Lock the batch of a job whose state a record moves."""
    of = select(jobs.c.parent_id).where(jobs.c.id == record.id, jobs.c.state != record.state)
    parent = await tx.scalar(of)
    if parent is not None:
        await tx.execute(select(jobs.c.id).where(jobs.c.id == parent).with_for_update())


async def moved_item(tx: AsyncConnection, batch: Id, record: RunRecord) -> Standing:
    """Return what the state of an item's job changes in its batch, which ends with the last one.

    The batch is locked.
    """
    mine = (batch_items.c.batch_id == batch, batch_items.c.job_id == record.id)
    before = _item((await tx.execute(select(batch_items).where(*mine))).one())
    changes = {"state": record.state, "error": shortened(record.error), "vmid": record.target.vmid}
    item = before.model_copy(update=changes)
    counts = moved_count((await counts_of(tx, [batch]))[batch], before.state, item.state)
    row = (await tx.execute(select(jobs.c.command, jobs.c.started_at).where(jobs.c.id == batch))).one()
    state = standing(batch, BatchCommand.model_validate(row.command), counts, row.started_at)
    return Standing(
        values=state.values,
        writes=[Write(statement=update(batch_items).where(*mine).values(**_row(batch, item))), *state.writes],
        events=[_fact(batch, item, percent(counts)), *state.events],
    )


async def items_of(tx: AsyncConnection, batch: Id) -> tuple[BatchItem, ...]:
    """Return a batch's items in their order."""
    query = select(batch_items).where(batch_items.c.batch_id == batch).order_by(batch_items.c.index)
    return tuple(_item(row) for row in await tx.execute(query))


async def counts_of(tx: AsyncConnection, batches: Sequence[Id]) -> Mapping[Id, BatchCounts]:
    """Return how many items of each batch stand where."""
    if not batches:
        return {}
    states: dict[Id, dict[str, int]] = {batch: {} for batch in batches}
    items = batch_items.c
    query = (
        select(items.batch_id, items.state, func.count().label("number"))
        .where(items.batch_id.in_(batches))
        .group_by(items.batch_id, items.state)
    )
    for row in await tx.execute(query):
        states[row.batch_id][row.state] = row.number
    return {batch: counted(each) for batch, each in states.items()}


async def codes_of(tx: AsyncConnection, batches: Sequence[Id]) -> Mapping[Id, Collection[str | None]]:
    """Return the errors of the items of each batch that did not succeed; None for one without an error."""
    if not batches:
        return {}
    items = batch_items.c
    query = (
        select(items.batch_id, items.error["code"].astext.label("code"))
        .where(items.batch_id.in_(batches), items.state.in_([JobState.FAILED, JobState.CANCELLED]))
        .distinct()
    )
    codes: dict[Id, set[str | None]] = {batch: set() for batch in batches}
    for row in await tx.execute(query):
        codes[row.batch_id].add(row.code)
    return codes


def batch_job(
    row: Row[Any],
    counts: Mapping[Id, BatchCounts],
    codes: Mapping[Id, Collection[str | None]],
    items: tuple[BatchItem, ...] = (),
) -> Job:
    """Return a batch as people see it."""
    command = BatchCommand.model_validate(row.command)
    mine = counts[row.id]
    state, error = ending(mine, cancel_requested=command.cancel_requested)
    return Job(
        id=row.id,
        kind=JobKind.BATCH,
        state=state,
        percent=percent(mine),
        actor=row.actor,
        retry_of=row.retry_of,
        items_kind=command.kind,
        selection=command.selection,
        counts=mine,
        items=items,
        error=error,
        args=command.args,
        actions=batch_actions(command.kind, state, codes[row.id]),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _row(batch: Id, item: BatchItem) -> dict[str, object]:
    return {
        "batch_id": batch,
        "index": item.index,
        "container_id": item.container,
        "vmid": item.vmid,
        "hostname": item.hostname,
        "job_id": item.job,
        "state": item.state,
        "error": item.error.model_dump(mode="json") if item.error else None,
    }


def _item(row: Row[Any]) -> BatchItem:
    return BatchItem(
        index=row.index,
        container=row.container_id,
        vmid=row.vmid,
        hostname=row.hostname,
        job=row.job_id,
        state=JobState(row.state),
        error=row.error,
    )


def _fact(batch: Id, item: BatchItem, done: int) -> Outgoing:
    event = JobItem(id=batch, percent=done, at=now(), **dict(item))
    return Outgoing(message=event, message_id=f"job:{batch}:item:{item.index}:{item.state}")
