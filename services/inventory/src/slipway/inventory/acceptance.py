"""Accepts requests and plans them: both decide alike, and a plan stops before the commit.

What stands in the way of a request and is over or gone by now is no reason to refuse it. A job's row may lag
behind its run record, so the record is read first. A name or a VMID may be held by a container that somebody
removed by hand: Proxmox is asked, and what it calls gone is given up first, or in a plan left out.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from slipway.contracts.message import Value
from slipway.inventory.containers.claims import HostnameTaken
from slipway.inventory.containers.defaults import VmidTaken
from slipway.inventory.containers.host_check import HostCheck
from slipway.inventory.decision import NOTHING_GONE, Claim, Decision, Gone, Proposal
from slipway.inventory.jobs.records import Records
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call

ReplyT = TypeVar("ReplyT")
StoredT = TypeVar("StoredT", bound=Value)
ResultT = TypeVar("ResultT")
Propose = Callable[[], Awaitable[Proposal[ReplyT]]]
"""Check and complete a request; hosts and other services are asked here, outside of any transaction."""


class Acceptance:
    """Accepts and plans what clients request."""

    def __init__(self, unit: UnitOfWork, records: Records, host_check: HostCheck) -> None:
        self._unit = unit
        self._records = records
        self._host_check = host_check

    async def accept(
        self, call: Call, action: str, request: Value, reply: type[StoredT], propose: Propose[StoredT]
    ) -> StoredT:
        """Accept a request once for each Idempotency-Key."""
        stored = await self._unit.stored_reply(call, action, request, reply)
        if stored is not None:
            return stored
        proposal = await propose()

        async def commit(gone: Gone) -> StoredT:
            return await self._unit.once(call, action, request, reply, lambda tx: proposal.decide(tx, gone))

        return await self._past_obstacles(commit, proposal.claim, give_up=True)

    async def plan(self, propose: Propose[ReplyT]) -> Decision[ReplyT]:
        """Return what would be accepted; refuse what would be refused."""
        proposal = await propose()

        async def decide(gone: Gone) -> Decision[ReplyT]:
            return await self._unit.plan(lambda tx: proposal.decide(tx, gone))

        return await self._past_obstacles(decide, proposal.claim, give_up=False)

    async def _past_obstacles(
        self, act: Callable[[Gone], Awaitable[ResultT]], claim: Claim | None, *, give_up: bool
    ) -> ResultT:
        try:
            return await self._records.unless_over(lambda: act(NOTHING_GONE))
        except (HostnameTaken, VmidTaken):
            if claim is None:
                raise
        gone = await self._host_check.gone(claim, give_up=give_up)
        return await self._records.unless_over(lambda: act(gone))
