"""Accepts requests and plans them: both decide alike, and a plan stops before the commit.

A request is not refused because of an obstacle that has just vanished. A job's row may lag behind its run
record, so the record is read first. A name or a VMID may be held by a container that somebody removed by
hand: Proxmox is asked, and a container that is gone is given up first, or left out of a plan.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from slipway.contracts.message import Query, Value
from slipway.inventory.containers.claims import HostnameTaken
from slipway.inventory.containers.defaults import VmidTaken
from slipway.inventory.containers.host_check import HostCheck
from slipway.inventory.decision import NOTHING_GONE, Claim, Decision, Gone, Proposal
from slipway.inventory.jobs.records import Records
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call

QueryT = TypeVar("QueryT", bound=Query[Any])
ReplyT = TypeVar("ReplyT")
ResultT = TypeVar("ResultT")
Propose = Callable[[QueryT], Awaitable[Proposal[Any]]]
"""Check and complete a request; hosts and other services are asked here, outside of any transaction."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Accepts and plans what clients request."""

    unit: UnitOfWork
    records: Records
    host_check: HostCheck

    def handler(self, action: str, propose: Propose[QueryT]) -> Callable[[QueryT, Call], Awaitable[Value]]:
        """Return the handler that accepts such requests."""
        return lambda request, call: self.accept(call, action, request, propose)

    async def accept(self, call: Call, action: str, request: QueryT, propose: Propose[QueryT]) -> Value:
        """Accept a request once for each Idempotency-Key."""
        stored: Value | None = await self.unit.stored_reply(call, action, request)
        if stored is not None:
            return stored
        proposal = await propose(request)

        async def commit(gone: Gone) -> Value:
            reply: Value = await self.unit.once(call, action, request, lambda tx: proposal.decide(tx, gone))
            return reply

        return await self._past_obstacles(commit, proposal.claim, give_up=True)

    async def plan(self, proposal: Proposal[ReplyT]) -> Decision[ReplyT]:
        """Return what would be accepted; refuse what would be refused."""

        async def decide(gone: Gone) -> Decision[ReplyT]:
            return await self.unit.plan(lambda tx: proposal.decide(tx, gone))

        return await self._past_obstacles(decide, proposal.claim, give_up=False)

    async def _past_obstacles(
        self, act: Callable[[Gone], Awaitable[ResultT]], claim: Claim | None, *, give_up: bool
    ) -> ResultT:
        try:
            return await self.records.unless_over(lambda: act(NOTHING_GONE))
        except (HostnameTaken, VmidTaken):
            if claim is None:
                raise
        gone = await self.host_check.gone(claim, give_up=give_up)
        return await self.records.unless_over(lambda: act(gone))
