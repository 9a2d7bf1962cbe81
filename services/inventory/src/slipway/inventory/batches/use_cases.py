"""Batches: requested, created, retried, cancelled; each is one job with an item for each container.

The containers of a batch are selected, locked and decided on in one transaction. A plan does the same and is
stored: a batch that destroys is accepted only with the hash of the plan that was shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.bulk import (
    BatchAccepted,
    BatchPlan,
    CreateContainers,
    PlanBatch,
    PlanBatchCancel,
    PlanBatchRetry,
    RequestBatch,
    RetryBatch,
)
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob
from slipway.contracts.message import Id
from slipway.contracts.values import Lifecycle
from slipway.inventory.batches import host_check, rules
from slipway.inventory.batches.cancel import decide_batch_cancel, plan_batch_cancel
from slipway.inventory.batches.choice import Choice, choose, choose_again, jobs_of, waiting_item
from slipway.inventory.batches.items import opened
from slipway.inventory.batches.rules import BatchCommand
from slipway.inventory.clusters.store import seen_of
from slipway.inventory.containers import own_container
from slipway.inventory.containers.claims import lock_names, names_in_use
from slipway.inventory.containers.create import Creations, decide_creations
from slipway.inventory.containers.lifecycle import refuse_to_destroy
from slipway.inventory.containers.store import NewContainer
from slipway.inventory.decision import Decision, Gone, Proposal, Write
from slipway.inventory.jobs import capacity
from slipway.inventory.jobs.records import Records
from slipway.inventory.tables import batch_plans, containers
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now

SHOWN_FOR = timedelta(days=1)
"""How long it can be said what changed since a plan was shown; its hash is valid for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequests:
    """Checks and plans batches."""

    bus: Bus
    database: Database
    unit: UnitOfWork
    creations: Creations
    records: Records

    async def propose(self, request: RequestBatch) -> Proposal[BatchAccepted]:
        """Return a batch that was checked; the records of jobs in its way were read."""
        rules.check(request.kind, request.args)
        async with self.database.autocommit() as tx:
            active = await jobs_of(tx, request.selection)
        for job in active:
            await self.records.catch_up(job)
        return Proposal(decide=lambda tx, _gone: decide_batch(tx, request))

    async def propose_many(self, request: CreateContainers) -> Proposal[BatchAccepted]:
        """Return several creations like one, completed."""
        rules.check_many(request.spec)
        new = await self.creations.complete(request, request.count)
        return Proposal(decide=lambda tx, gone: decide_many(tx, request.spec.hostname, new, gone))

    async def propose_retry(self, request: RetryBatch) -> Proposal[BatchAccepted]:
        """Return the retry of a batch."""
        return Proposal(decide=lambda tx, _gone: decide_batch(tx, request))

    async def cancel(self, call: Call, batch: Id) -> None:
        """Cancel a batch."""
        await self.unit.run(call, lambda tx: decide_batch_cancel(tx, batch))

    async def plan(self, request: PlanBatch | PlanBatchRetry, call: Call) -> BatchPlan:
        """Return what a batch or its retry would do, and what its hosts have against it."""
        if isinstance(request, PlanBatch):
            rules.check(request.kind, request.args)
        plan, commands = await self.unit.run(call, lambda tx: decide_plan(tx, request))
        warnings = await host_check.warnings(self.bus, commands)
        own = own_container.warnings(commands, self.unit.enqueuer.own_addresses)
        return plan.model_copy(update={"warnings": (*own, *plan.warnings, *warnings)})

    async def plan_cancel(self, request: PlanBatchCancel, _call: Call) -> BatchPlan:
        """Return what the cancel of a batch would end."""
        refuse_to_destroy(JobKind.BATCH, is_requested=request.remove_on_cancel)
        async with self.database.begin() as tx:
            return await plan_batch_cancel(tx, request.job)


async def decide_batch(tx: AsyncConnection, request: RequestBatch | RetryBatch) -> Decision[BatchAccepted]:
    """Do the same with every container of a selection, or again what did not succeed in a batch.

    An item that can't be accepted becomes a failed one.

    Raises:
        SelectionInvalid: if the selection can't be read, means nothing, or too much.
        NotRetryable: if the batch has not ended, or all of it succeeded.
        PlanNeeded: if the kind destroys and no plan's hash came with it.
        PlanChanged: if the request means something else than what was shown.
    """
    command, choices = await _chosen(tx, request)
    planned = [each.planned for each in choices]
    query = select(batch_plans.c["items"]).where(batch_plans.c.hash == request.plan)
    shown = await tx.scalar(query) if request.plan else None
    current_hash = rules.hash_of(command.kind, command.args, planned)
    rules.refuse_unshown(command.kind, request.plan, current_hash, shown, planned)
    commands = _commands(choices)
    writes = [write for each in choices for write in each.writes]
    if command.kind is JobKind.DELETE:
        writes.append(_begin_deletion([each.target.container for each in commands if not each.retry_of]))
    retry_of = request.job if isinstance(request, RetryBatch) else None
    items = [each.item for each in choices]
    return opened(command, items, commands, writes=writes, retry_of=retry_of)


async def decide_many(
    tx: AsyncConnection, base: str, new: Sequence[NewContainer], gone: Gone
) -> Decision[BatchAccepted]:
    """Create several containers like one, under the next free names that begin with `base`."""
    cluster = new[0].cluster
    await lock_names(tx, cluster)
    names = rules.names(base, len(new), await names_in_use(tx, cluster, besides=gone.containers))
    named = [
        replace(each, spec=each.spec.model_copy(update={"hostname": name}))
        for each, name in zip(new, names, strict=True)
    ]
    rows = await decide_creations(tx, named, gone)
    items = [waiting_item(index, command) for index, command in enumerate(rows.commands)]
    command = BatchCommand(kind=JobKind.CREATE)
    return opened(command, items, rows.commands, writes=rows.writes, events=rows.events)


async def decide_plan(
    tx: AsyncConnection, request: PlanBatch | PlanBatchRetry
) -> Decision[tuple[BatchPlan, Sequence[RunJob]]]:
    """Plan a batch or its retry: nothing is written but that the plan was shown.

    Return the plan, and the jobs of the items that can be done.
    """
    command, choices = await _chosen(tx, request)
    items, commands = [each.planned for each in choices], _commands(choices)
    seen = await seen_of(tx, {each.target.cluster for each in commands})
    plan = BatchPlan(
        kind=command.kind,
        hash=rules.hash_of(command.kind, command.args, items),
        items=tuple(items),
        destroys=rules.destroys(command.kind, command.args, items),
        warnings=capacity.warnings(commands, {cluster: each.nodes for cluster, each in seen.items()}),
    )
    values = {"items": rules.identities(items), "shown_at": now()}
    stored = upsert(batch_plans).values(hash=plan.hash, **values)
    writes = [
        Write(statement=delete(batch_plans).where(batch_plans.c.shown_at < now() - SHOWN_FOR)),
        Write(statement=stored.on_conflict_do_update(index_elements=["hash"], set_=values)),
    ]
    return Decision(reply=(plan, commands), writes=writes)


async def _chosen(
    tx: AsyncConnection,
    request: RequestBatch | RetryBatch | PlanBatch | PlanBatchRetry,
) -> tuple[BatchCommand, Sequence[Choice]]:
    if isinstance(request, RetryBatch | PlanBatchRetry):
        return await choose_again(tx, request.job)
    command = BatchCommand.model_validate(request.model_dump())
    return command, await choose(tx, command)


def _commands(choices: Sequence[Choice]) -> list[RunJob]:
    return [each.command for each in choices if each.command is not None]


def _begin_deletion(ids: Sequence[Id]) -> Write:
    """Return the change that moves containers that may be deleted into their deletion."""
    values = {"lifecycle": Lifecycle.DELETING, "warnings": [], "updated_at": now()}
    values["deleting_as"] = containers.c.lifecycle
    return Write(statement=update(containers).where(containers.c.id.in_(ids)).values(**values))
