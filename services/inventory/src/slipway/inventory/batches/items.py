"""A batch and its items, as rows: opened, moved by the states of the items' jobs, read.

All events of a batch are written under the lock of its row, so that they leave in their order. A
transaction that needs that lock and an item's takes the batch's first.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.batches import BatchCounts, BatchItem, JobItem
from slipway.contracts.bulk import BatchAccepted
from slipway.contracts.containers import JobRef
from slipway.contracts.job_events import JobAccepted, JobDone
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import Job, RunJob, RunRecord
from slipway.contracts.message import Id, Moment
from slipway.contracts.values import JobState
from slipway.inventory.batches.rules import BatchCommand, counted, ending, moved_count, percent, shortened
from slipway.inventory.containers.lifecycle import batch_actions
from slipway.inventory.decision import AuditNote, Decision, Write
from slipway.inventory.jobs.store import update_job
from slipway.inventory.tables import batch_items, jobs
from slipway.runtime.bus.call import current
from slipway.runtime.database.outbox import Outgoing
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id

UNSUCCESSFUL = (JobState.FAILED, JobState.CANCELLED)


def opened(
    command: BatchCommand,
    items: Sequence[BatchItem],
    commands: Sequence[RunJob],
    *,
    writes: Sequence[Write] = (),
    events: Sequence[Outgoing] = (),
    retry_of: Id | None = None,
) -> Decision[BatchAccepted]:
    """Return a new batch with its items; one of which nothing was accepted ends at once.

    Args:
        command: what the batch does.
        items: also those that were not accepted.
        commands: the jobs of those that were.
        writes: what the items change before their jobs begin.
        events: the facts of that.
        retry_of: the batch that is done again.
    """
    batch, actor = new_id(), current().actor
    counts = counted(Counter(str(item.state) for item in items))
    state = batch_state(batch, command, counts)
    row = {
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
    facts = [_fact(batch, item, percent(counts)) for item in items]
    details = {"job": batch, "kind": str(command.kind), "items": str(counts.total)}
    return Decision(
        reply=BatchAccepted(job=JobRef(id=batch), counts=counts),
        writes=[
            *writes,
            Write(statement=insert(jobs).values(row)),
            Write(statement=insert(batch_items), rows=[_row(batch, item) for item in items]),
        ],
        events=[*events, first, *facts, *state.events],
        commands=commands,
        parent=batch,
        audit=[
            AuditNote(action="batch", target=command.selection or batch, outcome="accepted", details=details)
        ],
    )


@dataclass(frozen=True, slots=True)
class BatchState:
    """Where a batch stands by its items: what its row holds, and the event of its end."""

    values: Mapping[str, object]
    events: Sequence[Outgoing]


def batch_state(
    batch: Id, command: BatchCommand, counts: BatchCounts, started_at: Moment | None = None
) -> BatchState:
    """Return where a batch stands."""
    state, error = ending(counts, cancel_requested=command.cancel_requested)
    values: dict[str, object] = {"state": state, "percent": percent(counts)}
    if state is not JobState.QUEUED:
        values["started_at"] = started_at or now()
    if not state.is_terminal:
        return BatchState(values, ())
    done = JobDone(id=batch, state=state, percent=100, error=error, at=now())
    event = Outgoing(message=done, message_id=f"job:{batch}:done")
    return BatchState({**values, "finished_at": now()}, [event])


async def lock_batch_of(tx: AsyncConnection, job: Id) -> None:
    """Lock the batch of a job, if it has one, before the job that moves it."""
    item = jobs.alias()
    batch = select(item.c.parent_id).where(item.c.id == job).scalar_subquery()
    await tx.execute(select(jobs.c.id).where(jobs.c.id == batch).with_for_update(of=jobs))


async def decide_item(tx: AsyncConnection, batch: Id, record: RunRecord) -> Decision[None]:
    """Move an item of a locked batch into the state of its job; the batch ends with the last one."""
    mine = (batch_items.c.batch_id == batch, batch_items.c.job_id == record.id)
    before = _item((await tx.execute(select(batch_items).where(*mine))).one())
    changes = {"state": record.state, "error": shortened(record.error), "vmid": record.target.vmid}
    item = before.model_copy(update=changes)
    counts = moved_count((await tallies_of(tx, [batch]))[batch].counts, before.state, item.state)
    row = (await tx.execute(select(jobs.c.command, jobs.c.started_at).where(jobs.c.id == batch))).one()
    state = batch_state(batch, BatchCommand.model_validate(row.command), counts, row.started_at)
    change = Write(statement=update(batch_items).where(*mine).values(**_row(batch, item)))
    return Decision(
        reply=None,
        writes=[change, update_job(batch, **state.values)],
        events=[_fact(batch, item, percent(counts)), *state.events],
    )


async def items_of(tx: AsyncConnection, batch: Id) -> tuple[BatchItem, ...]:
    """Return a batch's items in their order."""
    query = select(batch_items).where(batch_items.c.batch_id == batch).order_by(batch_items.c.index)
    return tuple(_item(row) for row in await tx.execute(query))


@dataclass(frozen=True, slots=True)
class Tally:
    """The states and errors of a batch's items."""

    counts: BatchCounts
    codes: Collection[str | None]
    """Errors of the items that did not succeed; None for one without an error, as of a cancel."""


async def tallies_of(tx: AsyncConnection, batches: Sequence[Id]) -> Mapping[Id, Tally]:
    """Return the states and errors of each batch's items."""
    if not batches:
        return {}
    items = batch_items.c
    code, number = items.error["code"].astext.label("code"), func.count().label("number")
    query = select(items.batch_id, items.state, code, number).where(items.batch_id.in_(batches))
    states: dict[Id, Counter[str]] = {batch: Counter() for batch in batches}
    codes: dict[Id, set[str | None]] = {batch: set() for batch in batches}
    for row in await tx.execute(query.group_by(items.batch_id, items.state, "code")):
        states[row.batch_id][row.state] += row.number
        if row.state in UNSUCCESSFUL:
            codes[row.batch_id].add(row.code)
    return {batch: Tally(counted(states[batch]), codes[batch]) for batch in batches}


def batch_job(row: Row[Any], tally: Tally, items: tuple[BatchItem, ...] = ()) -> Job:
    """Return a batch as people see it."""
    command, counts = BatchCommand.model_validate(row.command), tally.counts
    state, error = ending(counts, cancel_requested=command.cancel_requested)
    return Job.model_validate(
        {
            **row._asdict(),
            "state": state,
            "percent": percent(counts),
            "items_kind": command.kind,
            "selection": command.selection,
            "counts": counts,
            "items": items,
            "error": error,
            "args": command.args,
            "actions": batch_actions(command.kind, state, tally.codes),
        }
    )


def _row(batch: Id, item: BatchItem) -> dict[str, object]:
    same = item.model_dump(mode="json", exclude={"container", "job"})
    return {"batch_id": batch, "container_id": item.container, "job_id": item.job, **same}


def _item(row: Row[Any]) -> BatchItem:
    return BatchItem.model_validate({**row._asdict(), "container": row.container_id, "job": row.job_id})


def _fact(batch: Id, item: BatchItem, done: int) -> Outgoing:
    event = JobItem(id=batch, percent=done, at=now(), **dict(item))
    return Outgoing(message=event, message_id=f"job:{batch}:item:{item.index}:{item.state}")
