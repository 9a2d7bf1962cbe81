"""A second try of a batch: a new batch of the items that failed or were cancelled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.batches import BatchItem
from slipway.contracts.bulk import BatchAccepted, BatchPlan, PlanItem, RetryBatch
from slipway.contracts.containers import JobRef
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob
from slipway.contracts.message import Id
from slipway.contracts.problems import Rejected, Unavailable
from slipway.contracts.values import JobState
from slipway.inventory import audit
from slipway.inventory.batches import plans
from slipway.inventory.batches.choice import (
    Judge,
    begin_deletion,
    choices_of,
    command_of,
    known_of,
    plan_item_of,
    seen_by,
)
from slipway.inventory.batches.items import items_of, open_batch
from slipway.inventory.batches.rules import BatchCommand, shortened
from slipway.inventory.containers.claims import accepting, trying
from slipway.inventory.containers.store import ContainerNotFound
from slipway.inventory.jobs.enqueuer import JobEnqueuer
from slipway.inventory.jobs.retry import NotRetryable, retry_command
from slipway.inventory.jobs.store import job_row
from slipway.inventory.tables import clusters, containers
from slipway.runtime.bus.call import Call
from slipway.runtime.database.engine import Database
from slipway.runtime.process.ids import new_id

AGAIN = (JobState.FAILED, JobState.CANCELLED)


class BatchRetries:
    """Takes second tries in."""

    def __init__(self, database: Database, enqueuer: JobEnqueuer) -> None:
        self._database = database
        self._enqueuer = enqueuer

    async def done_before(self, call: Call, request: RetryBatch) -> BatchAccepted | None:
        """Give the reply that the same request under the same key got."""
        async with self._database.begin() as connection:
            return await audit.replayed(connection, call, "batch.retry", request, BatchAccepted)

    async def plan(self, job: Id, judge: Judge) -> tuple[BatchPlan, Sequence[RunJob]]:
        """Give what a second try would do, with its jobs: it is accepted as always, and taken back."""
        async with self._database.begin() as connection:
            attempt = await connection.begin_nested()
            wanted, tries = await _tries(connection, job, judge)
            await attempt.rollback()
            planned = [each.planned for each in tries]
            commands = [each.command for each in tries if each.command is not None]
            shown = await plans.show(connection, wanted.kind, wanted.args, planned, commands)
            return shown, commands

    async def retry(self, call: Call, request: RetryBatch, judge: Judge) -> BatchAccepted:
        """Accept what did not succeed once more; an item that can't be becomes a failed one.

        Raises:
            NotRetryable: if the batch has not ended, or all of it succeeded.
            PlanNeeded: if its kind destroys and no plan's hash came with the request.
            PlanChanged: if it means something else than what was shown.
        """
        async with accepting(self._database) as connection:
            done = await audit.done_meanwhile(connection, call, "batch.retry", request, BatchAccepted)
            if done is not None:
                return done
            wanted, tries = await _tries(connection, request.job, judge)
            planned = [each.planned for each in tries]
            await plans.refuse_unshown(connection, wanted.kind, wanted.args, planned, given=request.plan)
            batch = new_id()
            fresh = [_numbered(each, index) for index, each in enumerate(tries)]
            counts = await open_batch(connection, call, batch, wanted, fresh, retry_of=request.job)
            commands = [each.command for each in tries if each.command is not None]
            await self._enqueuer.enqueue_all(connection, call, commands, parent=batch)
            accepted = BatchAccepted(job=JobRef(id=batch), counts=counts)
            await audit.remember(connection, call, "batch.retry", request, accepted)
            return accepted


@dataclass(frozen=True, slots=True)
class _Try:
    """An item that is done again."""

    item: BatchItem
    planned: PlanItem
    """As its container is before anything is done."""
    command: RunJob | None
    """None if it can't be done again; `planned` says why."""


async def _tries(connection: AsyncConnection, job: Id, judge: Judge) -> tuple[BatchCommand, Sequence[_Try]]:
    """Take the containers of what did not succeed, and give what becomes of each item."""
    old = await job_row(connection, job)
    if old.kind != JobKind.BATCH or old.state not in AGAIN:
        raise NotRetryable(f"Job {old.id} is {old.state}; only a failed or cancelled batch can.")
    wanted = BatchCommand.model_validate(old.command).model_copy(update={"cancel_requested": False})
    items = [each for each in await items_of(connection, old.id) if each.state in AGAIN]
    rows = await _locked(connection, items)
    seen = await seen_by(connection, list(rows.values()), wanted.args)

    async def again(item: BatchItem) -> _Try:
        row = rows.get(item.container or "")
        planned = plan_item_of(row) if row else PlanItem(vmid=item.vmid, hostname=item.hostname)
        try:
            if row is not None:
                judge(wanted.kind, wanted.args, known_of(row, seen))
            async with trying(connection, item.hostname):
                return _Try(item, planned, await _again(connection, item, wanted, judge))
        except (Rejected, Unavailable) as error:
            return _Try(item, planned.model_copy(update={"error": shortened(error.to_problem())}), None)

    return wanted, [await again(each) for each in items]


async def _locked(connection: AsyncConnection, items: Sequence[BatchItem]) -> Mapping[Id, Row[Any]]:
    """Lock the containers in one order, so that two batches never wait for each other."""
    one = containers.c
    wanted = select(containers, clusters.c.name.label("cluster")).join(clusters).order_by(one.id)
    wanted = wanted.where(one.id.in_([each.container for each in items if each.container]))
    rows = await connection.execute(wanted.with_for_update(of=containers))
    return {row.id: row for row in rows}


async def _again(connection: AsyncConnection, item: BatchItem, wanted: BatchCommand, judge: Judge) -> RunJob:
    """Give an item's new command."""
    if item.job is not None:
        return await retry_command(connection, item.job, None)
    if item.container is None:
        raise ContainerNotFound(f"There is no container with VMID {item.vmid}.")
    (choice,) = await choices_of(connection, [item.container], wanted.kind, wanted.args, judge, lock=True)
    if choice.row is None:
        raise choice.error or ContainerNotFound(f"There is no container {item.container!r}.")
    if wanted.kind is JobKind.DELETE:
        await begin_deletion(connection, [item.container])
    return command_of(choice.row, wanted)


def _numbered(one: _Try, index: int) -> BatchItem:
    if one.command is None:
        failed = {"job": None, "state": JobState.FAILED, "error": one.planned.error}
        return one.item.model_copy(update={"index": index, **failed})
    waits = {"job": one.command.job, "state": JobState.QUEUED, "vmid": one.command.target.vmid}
    return one.item.model_copy(update={"index": index, "error": None, **waits})
