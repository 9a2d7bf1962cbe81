"""The audit log, as it is read."""

from sqlalchemy import select

from slipway.contracts.audit import AuditEntry, AuditPage, ListAudit
from slipway.inventory.paging import page, require_cursor
from slipway.inventory.tables import audit
from slipway.runtime.bus.call import Call
from slipway.runtime.database.engine import Database


class AuditStore:
    """Reads the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, query: ListAudit, _call: Call) -> AuditPage:
        """Return entries, newest first."""
        selected = select(audit).order_by(audit.c.id.desc()).limit(query.limit + 1)
        if query.cursor is not None:
            selected = selected.where(audit.c.id < query.cursor)
        async with self._database.autocommit() as tx:
            await require_cursor(tx, audit.c.id, query.cursor)
            rows = (await tx.execute(selected)).all()
        items, following = page(rows, query.limit, lambda row: AuditEntry.model_validate(row._asdict()), "id")
        return AuditPage(items=items, next=following)
