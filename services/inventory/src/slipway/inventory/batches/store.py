"""Accepts batches: what a selection means is looked at, locked and accepted in one transaction."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.batches import BatchItem
from slipway.contracts.bulk import (
    BatchAccepted,
    BatchPlan,
    CreateContainers,
    PlanBatch,
    PlanItem,
    RequestBatch,
)
from slipway.contracts.containers import JobRef
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob, RunRecord
from slipway.contracts.message import Id
from slipway.contracts.values import JobState
from slipway.inventory import audit
from slipway.inventory.batches import plans, rules
from slipway.inventory.batches.choice import (
    Choice,
    Judge,
    begin_deletion,
    choices_of,
    command_of,
    plan_item_of,
)
from slipway.inventory.batches.items import counts_of, open_batch, stand
from slipway.inventory.batches.rules import BatchCommand
from slipway.inventory.containers.claims import accepting
from slipway.inventory.containers.inserts import Creation, claim_all
from slipway.inventory.containers.lifecycle import NotCancellable, refuse_cancel
from slipway.inventory.containers.names import lock_names, names_in_use
from slipway.inventory.containers.selecting import look
from slipway.inventory.jobs.enqueuer import JobEnqueuer, cancel_order
from slipway.inventory.jobs.queue import ACTIVE, lock_queue
from slipway.inventory.jobs.store import JobNotFound, job_row
from slipway.inventory.tables import clusters, containers, jobs
from slipway.runtime.bus.call import Call
from slipway.runtime.database import outbox
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id


class BatchStore:
    """Takes batches in."""

    def __init__(self, database: Database, enqueuer: JobEnqueuer) -> None:
        self._database = database
        self._enqueuer = enqueuer

    async def done_before(
        self, call: Call, action: str, request: RequestBatch | CreateContainers
    ) -> BatchAccepted | None:
        """Give the reply that the same request under the same key got."""
        async with self._database.begin() as connection:
            return await audit.replayed(connection, call, action, request, BatchAccepted)

    async def working(self, selection: str) -> tuple[Id, ...]:
        """Give the jobs that work on what a selection means, as far as the rows know."""
        async with self._database.begin() as connection:
            found, _ = await look(connection, selection)
            mine = jobs.c.container_id.in_([one.id for one in found])
            active = await connection.scalars(select(jobs.c.id).where(mine, jobs.c.state.in_(ACTIVE)))
            return tuple(active)

    async def plan(self, request: PlanBatch, judge: Judge) -> tuple[BatchPlan, Sequence[RunJob]]:
        """Give what a batch would do, with its jobs, and remember that it was shown."""
        async with self._database.begin() as connection:
            choices = await _choose(connection, request, judge, lock=False)
            items = [each.planned for each in choices]
            wanted = BatchCommand(kind=request.kind, args=request.args)
            commands = [command_of(each.row, wanted) for each in choices if each.row is not None]
            shown = await plans.show(connection, request.kind, request.args, items, commands)
            return shown, commands

    async def request(self, call: Call, request: RequestBatch, judge: Judge) -> BatchAccepted:
        """Accept a batch; what can't be accepted becomes a failed item, the others go on.

        Raises:
            SelectionInvalid: if it can't be read, means nothing, or too much.
            PlanNeeded: if the kind destroys and no plan's hash came with it.
            PlanChanged: if the selection means something else than what was shown.
        """
        async with accepting(self._database) as connection:
            done = await audit.done_meanwhile(connection, call, "batch.request", request, BatchAccepted)
            if done is not None:
                return done
            choices = await _choose(connection, request, judge, lock=True)
            items = [each.planned for each in choices]
            await plans.refuse_unshown(connection, request.kind, request.args, items, given=request.plan)
            wanted = BatchCommand.model_validate(request.model_dump())
            accepted = await self._open(connection, call, wanted, choices)
            await audit.remember(connection, call, "batch.request", request, accepted)
            return accepted

    async def create(
        self, call: Call, request: CreateContainers, creations: Sequence[Creation]
    ) -> BatchAccepted:
        """Accept creations of the same kind, under the next free names."""
        async with accepting(self._database, request.spec.hostname) as connection:
            done = await audit.done_meanwhile(connection, call, "batch.create", request, BatchAccepted)
            if done is not None:
                return done
            cluster = creations[0].cluster
            await lock_names(connection, cluster)
            taken = await names_in_use(connection, cluster)
            names = rules.names(request.spec.hostname, len(creations), taken)
            named = [
                replace(each, spec=each.spec.model_copy(update={"hostname": name}))
                for each, name in zip(creations, names, strict=True)
            ]
            commands = await claim_all(connection, named)
            items = [_item(index, command) for index, command in enumerate(commands)]
            batch = new_id()
            wanted = BatchCommand(kind=JobKind.CREATE)
            counts = await open_batch(connection, call, batch, wanted, items)
            await self._enqueuer.enqueue_all(connection, call, commands, parent=batch)
            accepted = BatchAccepted(job=JobRef(id=batch), counts=counts)
            await audit.remember(connection, call, "batch.create", request, accepted)
            return accepted

    async def cancel(self, call: Call, batch: Id) -> None:
        """Cancel all that has not ended; what is past its point of no return ends by itself."""
        async with accepting(self._database) as connection:
            await connection.execute(select(jobs.c.id).where(jobs.c.id == batch).with_for_update())
            row = await _unended(connection, batch)
            command = BatchCommand.model_validate(row.command).model_copy(update={"cancel_requested": True})
            stored = command.model_dump(mode="json")
            await connection.execute(update(jobs).where(jobs.c.id == batch).values(command=stored))
            await _cancel_items(connection, batch)
            await audit.note(connection, call, "job.cancel", batch, "accepted", job=batch)
            await stand(connection, batch, command, (await counts_of(connection, [batch]))[batch])

    async def plan_cancel(self, batch: Id) -> BatchPlan:
        """Give the items that a cancel would end; one that can't be says why."""
        async with self._database.begin() as connection:
            command = BatchCommand.model_validate((await _unended(connection, batch)).command)
            mine = (jobs.c.parent_id == batch, jobs.c.state.in_(ACTIVE))
            wanted = select(jobs.c.state, jobs.c.record, containers, clusters.c.name.label("cluster"))
            rows = await connection.execute(
                wanted.select_from(jobs.join(containers).join(clusters)).where(*mine).order_by(jobs.c.id)
            )
            items = tuple(plan_item_of(row, _against_cancel(row)) for row in rows)
            hashed = rules.hash_of(command.kind, command.args, items)
            return BatchPlan(kind=command.kind, hash=hashed, items=items)

    async def _open(
        self, connection: AsyncConnection, call: Call, wanted: BatchCommand, choices: Sequence[Choice]
    ) -> BatchAccepted:
        commands = [command_of(each.row, wanted) if each.row is not None else None for each in choices]
        items = [
            _item(index, command) if command else _refused(index, choice.planned)
            for index, (choice, command) in enumerate(zip(choices, commands, strict=True))
        ]
        batch = new_id()
        counts = await open_batch(connection, call, batch, wanted, items)
        able = [each for each in commands if each is not None]
        if wanted.kind is JobKind.DELETE:
            await begin_deletion(connection, [each.target.container for each in able])
        await self._enqueuer.enqueue_all(connection, call, able, parent=batch)
        return BatchAccepted(job=JobRef(id=batch), counts=counts)


async def _choose(
    connection: AsyncConnection, request: PlanBatch | RequestBatch, judge: Judge, *, lock: bool
) -> tuple[Choice, ...]:
    found, absent = await look(connection, request.selection)
    ids = [one.id for one in found]
    choices = await choices_of(connection, ids, request.kind, request.args, judge, lock=lock)
    return (*choices, *(Choice.absent(vmid) for vmid in absent))


async def _unended(connection: AsyncConnection, batch: Id) -> Row[Any]:
    """Give a batch's row.

    Raises:
        JobNotFound: if there is no such batch.
        JobEnded: if it has ended.
    """
    row = await job_row(connection, batch)
    if row.kind != JobKind.BATCH:
        raise JobNotFound(f"Job {batch} is no batch.")
    refuse_cancel(JobState(row.state), None)
    return row


def _against_cancel(row: Row[Any]) -> NotCancellable | None:
    try:
        refuse_cancel(JobState(row.state), RunRecord.model_validate(row.record) if row.record else None)
    except NotCancellable as error:
        return error
    return None


async def _cancel_items(connection: AsyncConnection, batch: Id) -> None:
    """Tell every job of a batch that has not ended to end; one that waits never begins."""
    mine = (jobs.c.parent_id == batch, jobs.c.state.in_(ACTIVE))
    nodes = await connection.execute(select(jobs.c.cluster_id, jobs.c.node).where(*mine).distinct())
    for cluster, node in sorted((row.cluster_id, row.node) for row in nodes):
        await lock_queue(connection, cluster, node)
    orders = []
    for row in (await connection.execute(select(jobs).where(*mine).order_by(jobs.c.id))).all():
        if _against_cancel(row) is not None:
            continue
        command = RunJob.model_validate(row.command)
        order = cancel_order(command, command.target)
        orders.append(outbox.Outgoing(message=order, message_id=f"job:{row.id}:cancel:{new_id()}"))
    waiting = (*mine, jobs.c.released_at.is_(None))
    await connection.execute(update(jobs).where(*waiting).values(released_at=now()))
    await outbox.add_all(connection, orders)


def _item(index: int, command: RunJob) -> BatchItem:
    target = command.target
    return BatchItem(
        index=index,
        container=target.container,
        vmid=target.vmid,
        hostname=target.hostname,
        job=command.job,
        state=JobState.QUEUED,
    )


def _refused(index: int, planned: PlanItem) -> BatchItem:
    return BatchItem(
        index=index,
        container=planned.container,
        vmid=planned.vmid,
        hostname=planned.hostname,
        state=JobState.FAILED,
        error=planned.error,
    )
