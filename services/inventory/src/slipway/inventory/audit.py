"""The audit log, as it is read."""

from typing import Any

from sqlalchemy import Row, select

from slipway.contracts.audit import AuditEntry, AuditPage
from slipway.inventory.paging import page
from slipway.inventory.tables import audit
from slipway.runtime.database.engine import Database


class AuditStore:
    """Reads the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def entries(self, *, limit: int, cursor: str | None) -> AuditPage:
        """Return entries, newest first."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit + 1)
        if cursor is not None:
            query = query.where(audit.c.id < cursor)
        async with self._database.begin() as tx:
            rows = (await tx.execute(query)).all()
        items, following = page(rows, limit, _entry, "id")
        return AuditPage(items=items, next=following)


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry.model_validate(row._asdict())
