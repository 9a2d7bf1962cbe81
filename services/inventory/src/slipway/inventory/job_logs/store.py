"""Logs of ended jobs, as parts; a log is there as a whole or not at all."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, insert, select, update

from slipway.contracts.job_logs import GetJobLog, JobLogPart
from slipway.contracts.message import Id, Moment
from slipway.contracts.values import JobState
from slipway.inventory.job_logs.truncation import Part
from slipway.inventory.tables import job_log_parts, jobs
from slipway.runtime.bus.call import Call
from slipway.runtime.database.engine import Database, sql_of

ENDED = tuple(state for state in JobState if state.is_terminal)
_AT_ONCE = 500
_ENDED_AT = func.coalesce(jobs.c.finished_at, jobs.c.created_at).label("ended_at")
_UNARCHIVED = sql_of(
    select(jobs.c.id, _ENDED_AT)
    .where(jobs.c.log_archived_at.is_(None), jobs.c.state.in_(ENDED))
    .order_by(jobs.c.id)
    .limit(_AT_ONCE)
)


@dataclass(frozen=True, slots=True)
class Unarchived:
    """A job that has ended and whose log is not stored."""

    id: Id
    ended_at: Moment


class JobLogStore:
    """Stores job logs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unarchived(self) -> Sequence[Unarchived]:
        """Return some jobs whose log has to be stored, the oldest first."""
        return [Unarchived(row.id, row.ended_at) for row in await self._database.fetch(_UNARCHIVED)]

    async def keep(self, job: Id, parts: Sequence[Part], *, at: Moment) -> None:
        """Store a log, unless it is stored already."""
        mark = (
            update(jobs).where(jobs.c.id == job, jobs.c.log_archived_at.is_(None)).values(log_archived_at=at)
        )
        async with self._database.begin() as tx:
            if (await tx.execute(mark)).rowcount == 0:
                return
            for part in parts:
                row = {"job_id": job, "after": part.after, "last": part.last, "packed": part.packed}
                await tx.execute(insert(job_log_parts).values(row))

    async def part(self, query: GetJobLog, _call: Call) -> JobLogPart:
        """Return the part in which a log goes on."""
        of_job = select(job_log_parts.c.packed).where(job_log_parts.c.job_id == query.job)
        following = of_job.where(job_log_parts.c.last > query.after).order_by(job_log_parts.c.after).limit(1)
        async with self._database.autocommit() as tx:
            is_stored = (await tx.execute(of_job.limit(1))).first() is not None
            packed = await tx.scalar(following)
        return JobLogPart(is_stored=is_stored, packed=base64.b64encode(packed or b"").decode())
