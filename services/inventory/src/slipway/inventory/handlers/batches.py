"""Batches: asked for, planned, cancelled, done again; and many containers like one."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

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
from slipway.contracts.clusters import NodeFacts
from slipway.contracts.containers import ContainerSpec, CreateContainer
from slipway.contracts.jobs import JobArgs
from slipway.contracts.message import Id
from slipway.contracts.values import JobKind
from slipway.inventory import batching, domain, job_rules
from slipway.inventory.records import Records
from slipway.inventory.store.batch_choice import Judge
from slipway.inventory.store.batch_retry import BatchRetries
from slipway.inventory.store.batches import BatchStore
from slipway.inventory.store.clusters import ClusterStore
from slipway.inventory.store.making import Creation
from slipway.runtime.call import Call
from slipway.runtime.reach import Reach

MOST_CLUSTERS = 1000
Facts = Mapping[Id, Sequence[NodeFacts]]
"""Cluster to its nodes."""
Prepare = Callable[[CreateContainer, int], Awaitable[list[Creation]]]
"""Checks a request and completes it as often as wanted, each with secrets of its own."""


class BatchHandlers:
    """Answers about many containers at once."""

    def __init__(
        self,
        *,
        batches: BatchStore,
        retries: BatchRetries,
        clusters: ClusterStore,
        records: Records,
        prepare: Prepare,
        reach: Reach,
    ) -> None:
        self._batches = batches
        self._retries = retries
        self._clusters = clusters
        self._records = records
        self._prepare = prepare
        self._reach = reach

    async def plan(self, query: PlanBatch, _call: Call) -> BatchPlan:
        """Tell what a batch would do."""
        batching.check(query.kind, query.args)
        return await self._batches.plan(query, _judge(query.args, await self._facts(), self._reach))

    async def request(self, query: RequestBatch, call: Call) -> BatchAccepted:
        """Accept a batch."""
        done = await self._batches.done_before(call, "batch.request", query)
        if done is not None:
            return done
        batching.check(query.kind, query.args)
        for job in await self._batches.working(query.selection):
            await self._records.catch_up(job)
        return await self._batches.request(call, query, _judge(query.args, await self._facts(), self._reach))

    async def create(self, query: CreateContainers, call: Call) -> BatchAccepted:
        """Accept several creations like one."""
        done = await self._batches.done_before(call, "batch.create", query)
        if done is not None:
            return done
        batching.check_many(query.spec)
        one = CreateContainer(
            spec=query.spec, password=query.password, secret_variables=query.secret_variables
        )
        return await self._batches.create(call, query, await self._prepare(one, query.count))

    async def retry(self, query: RetryBatch, call: Call) -> BatchAccepted:
        """Accept a second try of what did not succeed."""
        done = await self._retries.done_before(call, query)
        if done is not None:
            return done
        facts = await self._facts()
        return await self._retries.retry(call, query, lambda args: _judge(args, facts, self._reach))

    async def plan_retry(self, query: PlanBatchRetry, _call: Call) -> BatchPlan:
        """Tell what a second try would do."""
        facts = await self._facts()
        return await self._retries.plan(query.job, lambda args: _judge(args, facts, self._reach))

    async def plan_cancel(self, query: PlanBatchCancel, _call: Call) -> BatchPlan:
        """Tell what a cancel would end."""
        domain.refuse_to_destroy(JobKind.BATCH, wanted=query.destroys)
        return await self._batches.plan_cancel(query.job)

    async def _facts(self) -> Facts:
        page = await self._clusters.list(limit=MOST_CLUSTERS, cursor=None)
        return {each.id: each.nodes for each in page.items}


def _judge(args: JobArgs, facts: Facts, reach: Reach) -> Judge:
    """Give what compares arguments with what a container's cluster and the operator allow."""

    def judge(spec: ContainerSpec, cluster: Id, node: str) -> None:
        job_rules.check_against(spec, args, facts.get(cluster, ()), node, reach)

    return judge
