"""Removes what is old, some rows at a time."""

from datetime import datetime

from sqlalchemy import ColumnElement, Table, delete, exists, func, or_, select

from slipway.contracts.values import Lifecycle
from slipway.inventory.job_logs.store import ENDED
from slipway.inventory.tables import audit, containers, credentials, idempotency, jobs, vmid_replacements
from slipway.runtime.database.engine import Database

AT_ONCE = 500
"""Rows of one transaction: nobody waits for a long one."""

_GONE = (containers.c.lifecycle == Lifecycle.DELETED, containers.c.forgotten_as.is_(None))


class RetentionStore:
    """Removes old rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def remove_jobs(self, before: datetime) -> int:
        """Remove jobs that ended before, with their logs, and return how many.

        The newest job of a container stays, as long as the container lives or is only forgotten.
        """
        others = jobs.alias()
        newest = (
            select(func.max(others.c.id))
            .where(others.c.container_id == jobs.c.container_id)
            .scalar_subquery()
        )
        is_gone = exists().where(containers.c.id == jobs.c.container_id, *_GONE)
        old = select(jobs.c.id).where(
            jobs.c.state.in_(ENDED),
            func.coalesce(jobs.c.finished_at, jobs.c.created_at) < before,
            or_(jobs.c.container_id.is_(None), jobs.c.id < newest, is_gone),
        )
        async with self._database.begin() as tx:
            ids = list(await tx.scalars(old.order_by(jobs.c.id).limit(AT_ONCE)))
            if ids:
                await tx.execute(delete(vmid_replacements).where(vmid_replacements.c.job_id.in_(ids)))
                await tx.execute(delete(jobs).where(jobs.c.id.in_(ids)))
        return len(ids)

    async def remove_containers(self, before: datetime) -> int:
        """Remove containers that were deleted before and have no jobs any more, with their secrets."""
        one = containers.c
        has_jobs = exists().where(or_(jobs.c.container_id == one.id, jobs.c.source_id == one.id))
        old = select(one.id).where(*_GONE, one.updated_at < before, ~has_jobs)
        async with self._database.begin() as tx:
            ids = list(await tx.scalars(old.limit(AT_ONCE).with_for_update(skip_locked=True)))
            if ids:
                await tx.execute(delete(credentials).where(credentials.c.container_id.in_(ids)))
                await tx.execute(delete(containers).where(one.id.in_(ids)))
        return len(ids)

    async def remove_audit(self, before: datetime) -> int:
        """Remove what was written into the audit log before; return how many entries."""
        return await self._remove(audit, audit.c.id, audit.c.at < before)

    async def remove_keys(self, before: datetime) -> int:
        """Remove Idempotency-Keys of requests made before; return how many."""
        return await self._remove(idempotency, idempotency.c.key, idempotency.c.created_at < before)

    async def _remove(self, table: Table, key: ColumnElement[str], old: ColumnElement[bool]) -> int:
        async with self._database.begin() as tx:
            some = select(key).where(old).limit(AT_ONCE)
            return (await tx.execute(delete(table).where(old, key.in_(some)))).rowcount
