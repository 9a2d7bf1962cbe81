"""Checks requests for batches before they are decided on, and plans them."""

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
from slipway.contracts.containers import CreateContainer
from slipway.contracts.job_kinds import Args, JobKind
from slipway.contracts.message import Id
from slipway.inventory.batches import host_check, rules
from slipway.inventory.batches.cancel import decide_batch_cancel, plan_batch_cancel
from slipway.inventory.batches.rules import BatchCommand
from slipway.inventory.batches.use_cases import (
    Planned,
    decide_batch,
    decide_batch_retry,
    decide_many,
    decide_plan,
    decide_retry_plan,
)
from slipway.inventory.containers.create import Creations
from slipway.inventory.containers.lifecycle import refuse_to_destroy
from slipway.inventory.containers.selecting import jobs_of
from slipway.inventory.decision import Proposal
from slipway.inventory.jobs.records import Records
from slipway.inventory.jobs.validation import Known, check_against
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus
from slipway.runtime.database.engine import Database
from slipway.runtime.process.host_access import HostAccessPolicy


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

    async def plan_cancel(self, request: PlanBatchCancel) -> BatchPlan:
        """Return what the cancel of a batch would end."""
        refuse_to_destroy(JobKind.BATCH, wanted=request.remove_on_cancel)
        async with self._database.begin() as tx:
            return await plan_batch_cancel(tx, request.job)

    async def _with_warnings(self, planned: Planned) -> BatchPlan:
        """Add what the hosts say; no transaction is open by now."""
        plan, commands = planned
        warnings = await host_check.warnings(self._bus, commands)
        return plan.model_copy(update={"warnings": (*plan.warnings, *warnings)})

    def _judge(self, kind: JobKind, args: Args, known: Known) -> None:
        """Refuse what would be refused for one container alone."""
        check_against(kind, args, known, self._host_access)
