"""Reads and writes the items of batches."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.batches import BatchItem
from slipway.contracts.message import Id
from slipway.contracts.values import JobState
from slipway.inventory.decision import Write
from slipway.inventory.tables import batch_items, jobs

UNSUCCESSFUL = (JobState.FAILED, JobState.CANCELLED)


async def lock_batch(tx: AsyncConnection, batch: Id) -> None:
    """Lock a batch."""
    await tx.execute(select(jobs.c.id).where(jobs.c.id == batch).with_for_update())


async def lock_batch_of(tx: AsyncConnection, job: Id) -> None:
    """Lock the batch of a job, if it has one, before the job that moves it."""
    item = jobs.alias()
    batch = select(item.c.parent_id).where(item.c.id == job).scalar_subquery()
    await tx.execute(select(jobs.c.id).where(jobs.c.id == batch).with_for_update(of=jobs))


async def batch_row(tx: AsyncConnection, batch: Id) -> Row[Any]:
    """Return what a batch does, and when it started."""
    query: Select[Any] = select(jobs.c.command, jobs.c.started_at).where(jobs.c.id == batch)
    row: Row[Any] = (await tx.execute(query)).one()
    return row


async def items_of(tx: AsyncConnection, batch: Id) -> tuple[BatchItem, ...]:
    """Return a batch's items in their order."""
    query = select(batch_items).where(batch_items.c.batch_id == batch).order_by(batch_items.c.index)
    return tuple(_item(row) for row in await tx.execute(query))


async def item_of(tx: AsyncConnection, batch: Id, job: Id) -> BatchItem:
    """Return the item of a batch that a job works on."""
    query = select(batch_items).where(batch_items.c.batch_id == batch, batch_items.c.job_id == job)
    return _item((await tx.execute(query)).one())


@dataclass(frozen=True, slots=True)
class Tally:
    """The states and errors of a batch's items."""

    states: Mapping[str, int]
    """How many items are in each state."""
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
    return {batch: Tally(states[batch], codes[batch]) for batch in batches}


def insert_items(batch: Id, items: Sequence[BatchItem]) -> Write:
    """Return the writing of a batch's items."""
    return Write(statement=insert(batch_items), rows=[_row(batch, item) for item in items])


def update_item(batch: Id, item: BatchItem) -> Write:
    """Return the change of the item of a job."""
    mine = (batch_items.c.batch_id == batch, batch_items.c.job_id == item.job)
    return Write(statement=update(batch_items).where(*mine).values(**_row(batch, item)))


def _row(batch: Id, item: BatchItem) -> dict[str, object]:
    same = item.model_dump(mode="json", exclude={"container", "job"})
    return {"batch_id": batch, "container_id": item.container, "job_id": item.job, **same}


def _item(row: Row[Any]) -> BatchItem:
    return BatchItem.model_validate({**row._asdict(), "container": row.container_id, "job": row.job_id})
