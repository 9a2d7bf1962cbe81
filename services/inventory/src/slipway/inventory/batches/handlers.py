"""Batches: requested, planned, cancelled, retried; and many containers like one."""

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
from slipway.inventory.acceptance import Acceptance
from slipway.inventory.batches.requests import BatchRequests
from slipway.runtime.bus.call import Call


class BatchHandlers:
    """Answers about many containers at once."""

    def __init__(self, acceptance: Acceptance, requests: BatchRequests) -> None:
        self._acceptance = acceptance
        self._requests = requests

    async def plan(self, query: PlanBatch, call: Call) -> BatchPlan:
        """Return what a batch would do."""
        return await self._requests.plan(query, call)

    async def request(self, query: RequestBatch, call: Call) -> BatchAccepted:
        """Accept a batch."""
        return await self._acceptance.accept(
            call, "batch.request", query, BatchAccepted, lambda: self._requests.propose(query, call)
        )

    async def create(self, query: CreateContainers, call: Call) -> BatchAccepted:
        """Accept several creations like one."""
        return await self._acceptance.accept(
            call, "batch.create", query, BatchAccepted, lambda: self._requests.propose_many(query, call)
        )

    async def retry(self, query: RetryBatch, call: Call) -> BatchAccepted:
        """Accept the retry of what did not succeed."""
        return await self._acceptance.accept(
            call, "batch.retry", query, BatchAccepted, lambda: self._requests.propose_retry(query, call)
        )

    async def plan_retry(self, query: PlanBatchRetry, call: Call) -> BatchPlan:
        """Return what a retry would do."""
        return await self._requests.plan_retry(query, call)

    async def plan_cancel(self, query: PlanBatchCancel, _call: Call) -> BatchPlan:
        """Return what a cancel would end."""
        return await self._requests.plan_cancel(query)
