"""Batches: requested and retried; and many containers like one."""

from slipway.contracts.bulk import BatchAccepted, CreateContainers, RequestBatch, RetryBatch
from slipway.inventory.acceptance import Acceptance
from slipway.inventory.batches.use_cases import BatchRequests
from slipway.runtime.bus.call import Call


class BatchHandlers:
    """Answers about many containers at once."""

    def __init__(self, acceptance: Acceptance, requests: BatchRequests) -> None:
        self._acceptance = acceptance
        self._requests = requests

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
