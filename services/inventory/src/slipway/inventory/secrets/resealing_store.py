"""Seals secrets anew that an older key sealed, some rows at a time."""

from collections.abc import Callable

from sqlalchemy import func, select, update

from slipway.inventory.tables import clusters, credentials
from slipway.runtime.database.engine import Database

AT_ONCE = 200
"""Rows of one transaction: nobody waits for a long one."""

Reseal = Callable[[str, str, str], str]
"""From what is sealed, its owner and its field to what is sealed anew; the same text if it can't be."""


class ResealingStore:
    """What is sealed in rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def credentials(self, current: str, reseal: Reseal) -> int:
        """Seal credentials anew and return how many.

        Args:
            current: what a text begins with that needs nothing.
            reseal: returns the new text.
        """
        total, after = 0, ""
        while True:
            ids, changed = await self._some(current, after, reseal)
            total += changed
            if len(ids) < AT_ONCE:
                return total
            after = ids[-1]

    async def clusters(self, reseal: Reseal) -> int:
        """Seal the secrets of clusters anew and return how many clusters changed."""
        total = 0
        async with self._database.begin() as tx:
            rows = (await tx.execute(select(clusters).order_by(clusters.c.id).with_for_update())).all()
            for row in rows:
                sealed = {field: reseal(text, row.id, field) for field, text in row.secrets.items()}
                if sealed != row.secrets:
                    same = clusters.c.id == row.id
                    await tx.execute(update(clusters).where(same).values(secrets=sealed))
                    total += 1
        return total

    async def _some(self, current: str, after: str, reseal: Reseal) -> tuple[list[str], int]:
        """Seal the next ones anew; return all that were read, and how many changed."""
        older = ~func.starts_with(credentials.c.sealed, current), credentials.c.id > after
        some = select(credentials).where(*older).order_by(credentials.c.id).limit(AT_ONCE).with_for_update()
        changed = 0
        async with self._database.begin() as tx:
            rows = (await tx.execute(some)).all()
            for row in rows:
                sealed = reseal(row.sealed, row.container_id, row.name)
                if sealed != row.sealed:
                    same = credentials.c.id == row.id
                    await tx.execute(update(credentials).where(same).values(sealed=sealed))
                    changed += 1
        return [row.id for row in rows], changed
