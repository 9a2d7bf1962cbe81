"""Batches: asked for, planned, cancelled, done again; and many containers like one."""

from collections.abc import Awaitable, Callable, Sequence

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
from slipway.contracts.jobs import RunJob
from slipway.inventory.batches import host_check, rules
from slipway.inventory.batches.retry import BatchRetries
from slipway.inventory.batches.store import BatchStore
from slipway.inventory.containers import lifecycle
from slipway.inventory.containers.inserts import Creation
from slipway.inventory.jobs.records import Records
from slipway.inventory.jobs.validation import Known, check_against
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.host_access import HostAccessPolicy

Prepare = Callable[[CreateContainer, int], Awaitable[list[Creation]]]
"""Checks a request and completes it as often as wanted, each with secrets of its own."""


class BatchHandlers:
    """Answers about many containers at once."""

    def __init__(
        self,
        *,
        bus: Bus,
        batches: BatchStore,
        retries: BatchRetries,
        records: Records,
        prepare: Prepare,
        host_access: HostAccessPolicy,
    ) -> None:
        self._bus = bus
        self._batches = batches
        self._retries = retries
        self._records = records
        self._prepare = prepare
        self._host_access = host_access

    async def plan(self, query: PlanBatch, _call: Call) -> BatchPlan:
        """Tell what a batch would do."""
        rules.check(query.kind, query.args)
        return await self._looked_at(*await self._batches.plan(query, self._judge))

    async def request(self, query: RequestBatch, call: Call) -> BatchAccepted:
        """Accept a batch."""
        done = await self._batches.done_before(call, "batch.request", query)
        if done is not None:
            return done
        rules.check(query.kind, query.args)
        for job in await self._batches.working(query.selection):
            await self._records.catch_up(job)
        return await self._batches.request(call, query, self._judge)

    async def create(self, query: CreateContainers, call: Call) -> BatchAccepted:
        """Accept several creations like one."""
        done = await self._batches.done_before(call, "batch.create", query)
        if done is not None:
            return done
        rules.check_many(query.spec)
        one = CreateContainer(
            spec=query.spec, password=query.password, secret_variables=query.secret_variables
        )
        return await self._batches.create(call, query, await self._prepare(one, query.count))

    async def retry(self, query: RetryBatch, call: Call) -> BatchAccepted:
        """Accept a second try of what did not succeed."""
        done = await self._retries.done_before(call, query)
        if done is not None:
            return done
        return await self._retries.retry(call, query, self._judge)

    async def plan_retry(self, query: PlanBatchRetry, _call: Call) -> BatchPlan:
        """Tell what a second try would do."""
        return await self._looked_at(*await self._retries.plan(query.job, self._judge))

    async def plan_cancel(self, query: PlanBatchCancel, _call: Call) -> BatchPlan:
        """Tell what a cancel would end."""
        lifecycle.refuse_to_destroy(JobKind.BATCH, wanted=query.remove_on_cancel)
        return await self._batches.plan_cancel(query.job)

    async def _looked_at(self, shown: BatchPlan, commands: Sequence[RunJob]) -> BatchPlan:
        """Add what the hosts say; no transaction is open by now."""
        told = await host_check.warnings(self._bus, commands)
        return shown.model_copy(update={"warnings": (*shown.warnings, *told)})

    def _judge(self, kind: JobKind, args: Args, known: Known) -> None:
        """Refuse what would be refused for one container alone."""
        check_against(kind, args, known, self._host_access)
