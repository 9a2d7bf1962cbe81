"""Batches: requested, created, retried, cancelled; each is one job with an item for each container.

What a batch means is looked at, locked and decided on in one transaction. A plan looks at it in the same way,
and is remembered: what destroys is accepted only with the hash of the plan that was shown.
"""

from collections.abc import Sequence
from dataclasses import replace
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
from slipway.contracts.containers import CreateContainer, JobRef
from slipway.contracts.job_kinds import Args, JobKind
from slipway.contracts.jobs import RunJob
from slipway.contracts.message import Id
from slipway.contracts.values import Lifecycle
from slipway.inventory.batches import host_check, rules
from slipway.inventory.batches.cancel import decide_batch_cancel, plan_batch_cancel
from slipway.inventory.batches.choice import Choice, Judge, choose, choose_again, jobs_of, waiting_item
from slipway.inventory.batches.items import opened
from slipway.inventory.batches.rules import BatchCommand
from slipway.inventory.clusters.store import seen_of
from slipway.inventory.containers.claims import lock_names, names_in_use
from slipway.inventory.containers.create import Creations, decide_rows
from slipway.inventory.containers.lifecycle import refuse_to_destroy
from slipway.inventory.containers.store import NewContainer
from slipway.inventory.decision import Decision, Gone, Proposal, Write
from slipway.inventory.jobs import capacity
from slipway.inventory.jobs.records import Records
from slipway.inventory.jobs.validation import Known, check_against
from slipway.inventory.tables import batch_plans, containers
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from slipway.runtime.process.host_access import HostAccessPolicy
from slipway.runtime.process.ids import new_id

SHOWN_FOR = timedelta(days=1)
"""How long it can be said what changed since a plan was shown; its hash is valid for ever."""


Planned = tuple[BatchPlan, Sequence[RunJob]]
"""A plan, and the jobs of the items that can be done."""


class BatchRequests:
    """Checks and plans batches."""

    def __init__(
        self,
        *,
        bus: Bus,
        database: Database,
        unit: UnitOfWork,
        creations: Creations,
        records: Records,
        host_access: HostAccessPolicy,
    ) -> None:
        self._bus = bus
        self._database = database
        self._unit = unit
        self._creations = creations
        self._records = records
        self._host_access = host_access

    async def propose(self, request: RequestBatch, call: Call) -> Proposal[BatchAccepted]:
        """Return a batch that was checked; the records of jobs in its way were read."""
        rules.check(request.kind, request.args)
        async with self._database.begin() as tx:
            active = await jobs_of(tx, request.selection)
        for job in active:
            await self._records.catch_up(job)
        return Proposal(decide=lambda tx, _gone: decide_batch(tx, call.actor, request, self._judge))

    async def propose_many(self, request: CreateContainers, call: Call) -> Proposal[BatchAccepted]:
        """Return several creations like one, completed."""
        rules.check_many(request.spec)
        one = CreateContainer(
            spec=request.spec, password=request.password, secret_variables=request.secret_variables
        )
        new = await self._creations.complete(one, request.count)
        return Proposal(decide=lambda tx, gone: decide_many(tx, call.actor, request, new, gone))

    async def propose_retry(self, request: RetryBatch, call: Call) -> Proposal[BatchAccepted]:
        """Return the retry of a batch."""
        return Proposal(decide=lambda tx, _gone: decide_batch_retry(tx, call.actor, request, self._judge))

    async def cancel(self, call: Call, batch: Id) -> None:
        """Cancel a batch."""
        await self._unit.run(call, lambda tx: decide_batch_cancel(tx, batch))

    async def plan(self, request: PlanBatch, call: Call) -> BatchPlan:
        """Return what a batch would do, and what its hosts have against it."""
        rules.check(request.kind, request.args)
        command = BatchCommand(kind=request.kind, args=request.args)
        return await self._with_warnings(
            await self._unit.run(call, lambda tx: decide_plan(tx, request.selection, command, self._judge))
        )

    async def plan_retry(self, request: PlanBatchRetry, call: Call) -> BatchPlan:
        """Return what the retry of a batch would do; as `plan`."""
        return await self._with_warnings(
            await self._unit.run(call, lambda tx: decide_retry_plan(tx, request.job, self._judge))
        )

    async def plan_cancel(self, request: PlanBatchCancel, _call: Call) -> BatchPlan:
        """Return what the cancel of a batch would end."""
        refuse_to_destroy(JobKind.BATCH, is_requested=request.remove_on_cancel)
        async with self._database.begin() as tx:
            return await plan_batch_cancel(tx, request.job)

    async def _with_warnings(self, planned: Planned) -> BatchPlan:
        """Add what the hosts say; no transaction is open by now."""
        plan, commands = planned
        warnings = await host_check.warnings(self._bus, commands)
        return plan.model_copy(update={"warnings": (*plan.warnings, *warnings)})

    def _judge(self, kind: JobKind, args: Args, facts: Known) -> None:
        """Refuse what would be refused for one container alone."""
        check_against(kind, args, facts, self._host_access)


async def decide_batch(
    tx: AsyncConnection, actor: str, request: RequestBatch, judge: Judge
) -> Decision[BatchAccepted]:
    """Do the same with every container of a selection; what can't be accepted becomes a failed item.

    Raises:
        SelectionInvalid: if it can't be read, means nothing, or too much.
        PlanNeeded: if the kind destroys and no plan's hash came with it.
        PlanChanged: if the selection means something else than what was shown.
    """
    command = BatchCommand.model_validate(request.model_dump())
    choices = await choose(tx, request.selection, command, judge)
    await _refuse_unshown(tx, command, choices, request.plan)
    return _decided(actor, command, choices)


async def decide_batch_retry(
    tx: AsyncConnection, actor: str, request: RetryBatch, judge: Judge
) -> Decision[BatchAccepted]:
    """Do again what did not succeed in a batch; an item that can't be done again becomes a failed one.

    Raises:
        NotRetryable: if the batch has not ended, or all of it succeeded.
        PlanNeeded: if its kind destroys and no plan's hash came with the request.
        PlanChanged: if it means something else than what was shown.
    """
    command, choices = await choose_again(tx, request.job, judge)
    await _refuse_unshown(tx, command, choices, request.plan)
    return _decided(actor, command, choices, retry_of=request.job)


async def decide_many(
    tx: AsyncConnection, actor: str, request: CreateContainers, new: Sequence[NewContainer], gone: Gone
) -> Decision[BatchAccepted]:
    """Create several containers like one, under the next free names."""
    cluster = new[0].cluster
    await lock_names(tx, cluster)
    in_use = await names_in_use(tx, cluster, besides=gone.containers)
    names = rules.names(request.spec.hostname, len(new), in_use)
    named = [
        replace(each, spec=each.spec.model_copy(update={"hostname": name}))
        for each, name in zip(new, names, strict=True)
    ]
    rows = await decide_rows(tx, named, gone)
    items = [waiting_item(index, command) for index, command in enumerate(rows.commands)]
    batch = opened(new_id(), actor, BatchCommand(kind=JobKind.CREATE), items)
    return Decision(
        reply=BatchAccepted(job=JobRef(id=batch.id), counts=batch.counts),
        writes=[*rows.writes, *batch.writes],
        events=[*rows.events, *batch.events],
        commands=rows.commands,
        parent=batch.id,
        audit=[batch.note],
    )


async def decide_plan(
    tx: AsyncConnection, selection: str, command: BatchCommand, judge: Judge
) -> Decision[Planned]:
    """Plan a batch: nothing is written but that the plan was shown."""
    return await _shown(tx, command, await choose(tx, selection, command, judge))


async def decide_retry_plan(tx: AsyncConnection, job: Id, judge: Judge) -> Decision[Planned]:
    """Plan the retry of a batch; as `decide_plan`."""
    return await _shown(tx, *await choose_again(tx, job, judge))


def _decided(
    actor: str, command: BatchCommand, choices: Sequence[Choice], *, retry_of: Id | None = None
) -> Decision[BatchAccepted]:
    batch = opened(new_id(), actor, command, [each.item for each in choices], retry_of=retry_of)
    commands = [each.command for each in choices if each.command is not None]
    writes = [*batch.writes, *(write for each in choices for write in each.writes)]
    if command.kind is JobKind.DELETE:
        writes.append(_begin_deletion([each.target.container for each in commands if not each.retry_of]))
    return Decision(
        reply=BatchAccepted(job=JobRef(id=batch.id), counts=batch.counts),
        writes=writes,
        events=batch.events,
        commands=commands,
        parent=batch.id,
        audit=[batch.note],
    )


def _begin_deletion(ids: Sequence[Id]) -> Write:
    """Return the change that moves containers that may be deleted into their deletion."""
    values = {"lifecycle": Lifecycle.DELETING, "warnings": [], "updated_at": now()}
    values["deleting_as"] = containers.c.lifecycle
    return Write(statement=update(containers).where(containers.c.id.in_(ids)).values(**values))


async def _shown(tx: AsyncConnection, command: BatchCommand, choices: Sequence[Choice]) -> Decision[Planned]:
    items = [each.planned for each in choices]
    commands = [each.command for each in choices if each.command is not None]
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


async def _refuse_unshown(
    tx: AsyncConnection, command: BatchCommand, choices: Sequence[Choice], shown_hash: str | None
) -> None:
    items = [each.planned for each in choices]
    query = select(batch_plans.c["items"]).where(batch_plans.c.hash == shown_hash)
    shown = await tx.scalar(query) if shown_hash else None
    current = rules.hash_of(command.kind, command.args, items)
    rules.refuse_unshown(command.kind, shown_hash, current, shown, items)
