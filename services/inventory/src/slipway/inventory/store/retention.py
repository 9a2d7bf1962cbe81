"""Removes what is old, some rows at a time."""

from datetime import datetime

from sqlalchemy import ColumnElement, Table, delete, func, or_, select

from slipway.inventory.store.stories import ENDED
from slipway.inventory.tables import audit, idempotency, jobs, vmid_replacements
from slipway.runtime.database import Database

AT_ONCE = 500
"""Rows of one transaction: nobody waits for a long one."""


class RetentionStore:
    """What may be forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def remove_jobs(self, before: datetime) -> int:
        """Remove jobs that ended before, with their stories, and tell how many.

        The newest job of a container stays.
        """
        others = jobs.alias()
        newest = (
            select(func.max(others.c.id))
            .where(others.c.container_id == jobs.c.container_id)
            .scalar_subquery()
        )
        old = select(jobs.c.id).where(
            jobs.c.state.in_(ENDED),
            func.coalesce(jobs.c.finished_at, jobs.c.created_at) < before,
            or_(jobs.c.container_id.is_(None), jobs.c.id < newest),
        )
        async with self._database.begin() as connection:
            ids = list(await connection.scalars(old.order_by(jobs.c.id).limit(AT_ONCE)))
            if ids:
                await connection.execute(delete(vmid_replacements).where(vmid_replacements.c.job_id.in_(ids)))
                await connection.execute(delete(jobs).where(jobs.c.id.in_(ids)))
        return len(ids)

    async def remove_audit(self, before: datetime) -> int:
        """Remove what was written into the audit trail before; tell how much."""
        return await self._remove(audit, audit.c.id, audit.c.at < before)

    async def remove_keys(self, before: datetime) -> int:
        """Remove Idempotency-Keys of requests made before; tell how many."""
        return await self._remove(idempotency, idempotency.c.key, idempotency.c.created_at < before)

    async def _remove(self, table: Table, key: ColumnElement[str], old: ColumnElement[bool]) -> int:
        async with self._database.begin() as connection:
            some = select(key).where(old).limit(AT_ONCE)
            return (await connection.execute(delete(table).where(old, key.in_(some)))).rowcount
