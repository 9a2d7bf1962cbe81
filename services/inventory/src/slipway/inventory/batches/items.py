"""A batch and its items, as rows: opened, moved by what becomes of the items' jobs, read.

All that is said of a batch is said under the lock of its row, so that its facts leave in their order. Whoever
needs that lock and an item's takes the batch's first.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.batches import BatchCounts, BatchItem, JobItem
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import Job, JobAccepted, JobDone, RunRecord
from slipway.contracts.message import Id
from slipway.contracts.values import JobState
from slipway.inventory import audit
from slipway.inventory.batches.rules import BatchCommand, counted, ending, percent, shortened
from slipway.inventory.containers.lifecycle import batch_actions
from slipway.inventory.tables import batch_items, jobs
from slipway.runtime.bus.call import Call
from slipway.runtime.database import outbox
from slipway.runtime.process.clock import now


async def open_batch(
    connection: AsyncConnection,
    call: Call,
    batch: Id,
    command: BatchCommand,
    items: Sequence[BatchItem],
    *,
    retry_of: Id | None = None,
) -> BatchCounts:
    """Write a batch with its items and say so; one of which nothing was accepted ends at once."""
    row = {
        "id": batch,
        "kind": JobKind.BATCH,
        "state": JobState.QUEUED,
        "percent": 0,
        "actor": call.actor,
        "command": command.model_dump(mode="json"),
        "retry_of": retry_of,
        "record_sequence": 0,
        "created_at": now(),
    }
    await connection.execute(insert(jobs).values(row))
    await connection.execute(insert(batch_items), [_row(batch, item) for item in items])
    told = JobAccepted(id=batch, kind=JobKind.BATCH, actor=call.actor, at=now())
    first = outbox.Outgoing(message=told, message_id=f"job:{batch}:accepted", expect_last_subject_sequence=0)
    counts = (await counts_of(connection, [batch]))[batch]
    facts = [_fact(batch, item, percent(counts)) for item in items]
    await outbox.add_all(connection, [first, *facts])
    details = {"job": batch, "kind": str(command.kind), "items": str(counts.total)}
    await audit.note_all(connection, call, "accepted", [("batch", command.selection or batch, details)])
    await stand(connection, batch, command, counts)
    return counts


async def lock_parent(connection: AsyncConnection, record: RunRecord) -> None:
    """Lock the batch of a job whose state a record moves."""
    of = select(jobs.c.parent_id).where(jobs.c.id == record.id, jobs.c.state != record.state)
    parent = await connection.scalar(of)
    if parent is not None:
        await connection.execute(select(jobs.c.id).where(jobs.c.id == parent).with_for_update())


async def item_moved(connection: AsyncConnection, batch: Id, record: RunRecord) -> None:
    """Take over the state of an item's job, and end the batch with its last one. The batch is locked."""
    error = shortened(record.error)
    values = {"state": record.state, "error": error.model_dump(mode="json") if error else None}
    changed = (
        update(batch_items)
        .where(batch_items.c.batch_id == batch, batch_items.c.job_id == record.id)
        .values(**values, vmid=record.target.vmid)
        .returning(batch_items)
    )
    item = _item((await connection.execute(changed)).one())
    counts = (await counts_of(connection, [batch]))[batch]
    await outbox.add_all(connection, [_fact(batch, item, percent(counts))])
    asked = await connection.scalar(select(jobs.c.command).where(jobs.c.id == batch))
    await stand(connection, batch, BatchCommand.model_validate(asked), counts)


async def stand(connection: AsyncConnection, batch: Id, command: BatchCommand, counts: BatchCounts) -> None:
    """Keep where a batch stands by its items, and say its end. The batch is locked."""
    state, error = ending(counts, cancel_requested=command.cancel_requested)
    values: dict[str, object] = {"state": state, "percent": percent(counts)}
    if state is not JobState.QUEUED:
        values["started_at"] = func.coalesce(jobs.c.started_at, now())
    if state.is_terminal:
        values["finished_at"] = now()
        done = JobDone(id=batch, state=state, percent=100, error=error, at=now())
        await outbox.add(connection, done, message_id=f"job:{batch}:done")
    await connection.execute(update(jobs).where(jobs.c.id == batch).values(**values))


async def items_of(connection: AsyncConnection, batch: Id) -> tuple[BatchItem, ...]:
    """Give a batch's items in their order."""
    wanted = select(batch_items).where(batch_items.c.batch_id == batch).order_by(batch_items.c.index)
    return tuple(_item(row) for row in await connection.execute(wanted))


async def counts_of(connection: AsyncConnection, batches: Sequence[Id]) -> Mapping[Id, BatchCounts]:
    """Give how many items of each batch stand where."""
    if not batches:
        return {}
    states: dict[Id, dict[str, int]] = {batch: {} for batch in batches}
    items = batch_items.c
    wanted = (
        select(items.batch_id, items.state, func.count().label("number"))
        .where(items.batch_id.in_(batches))
        .group_by(items.batch_id, items.state)
    )
    for row in await connection.execute(wanted):
        states[row.batch_id][row.state] = row.number
    return {batch: counted(each) for batch, each in states.items()}


async def codes_of(connection: AsyncConnection, batches: Sequence[Id]) -> Mapping[Id, Collection[str | None]]:
    """Give the errors of the items of each batch that did not succeed; None for one without an error."""
    if not batches:
        return {}
    items = batch_items.c
    wanted = (
        select(items.batch_id, items.error["code"].astext.label("code"))
        .where(items.batch_id.in_(batches), items.state.in_([JobState.FAILED, JobState.CANCELLED]))
        .distinct()
    )
    codes: dict[Id, set[str | None]] = {batch: set() for batch in batches}
    for row in await connection.execute(wanted):
        codes[row.batch_id].add(row.code)
    return codes


def batch_job(
    row: Row[Any],
    counts: Mapping[Id, BatchCounts],
    codes: Mapping[Id, Collection[str | None]],
    items: tuple[BatchItem, ...] = (),
) -> Job:
    """Give a batch as people see it."""
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


def _fact(batch: Id, item: BatchItem, done: int) -> outbox.Outgoing:
    told = JobItem(id=batch, percent=done, at=now(), **dict(item))
    return outbox.Outgoing(message=told, message_id=f"job:{batch}:item:{item.index}:{item.state}")
