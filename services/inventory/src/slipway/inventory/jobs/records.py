"""Reads a run record itself when a row may lag behind it.

The rows are stored from the records by a consumer, a moment later. A client that saw a job's `done`
may ask at once; so before a question about a job that is active by its row is answered, its record is read
and stored if it is newer.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from slipway.contracts.jobs import RunRecord
from slipway.contracts.message import Id
from slipway.contracts.problems import Unavailable
from slipway.inventory.containers.claims import JobActive
from slipway.inventory.jobs.outcomes import decide_record
from slipway.inventory.jobs.store import store_progress
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import current
from slipway.runtime.bus.client import Bus

ResultT = TypeVar("ResultT")


class Records:
    """Run records, for rows that may lag."""

    def __init__(self, bus: Bus, unit: UnitOfWork) -> None:
        self._bus = bus
        self._unit = unit

    async def store(self, record: RunRecord, sequence: int) -> None:
        """Store where a run stands, as `store` does."""
        await store(self._unit, record, sequence)

    async def catch_up(self, job: Id) -> bool:
        """Store where a job stands by its record; return whether it has ended."""
        with contextlib.suppress(Unavailable):
            last = await self._bus.last(RunRecord, job)
            if last is not None:
                record, sequence = last
                await self.store(record, sequence)
                return record.state.is_terminal
        return False

    async def unless_over(self, accept: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Accept a job; one that is in its way and has ended meanwhile is no reason to refuse."""
        try:
            return await accept()
        except JobActive as error:
            job = error.details.get("job")
            if job is None or not await self.catch_up(job):
                raise
        return await accept()


async def store(unit: UnitOfWork, record: RunRecord, sequence: int) -> None:
    """Store where a run stands. Idempotent: a row takes a record only with a higher sequence."""
    if not record.state.is_terminal and await unit.apply(*store_progress(record, sequence)):
        return
    await unit.run(current(), lambda tx: decide_record(tx, record, sequence))
