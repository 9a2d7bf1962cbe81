"""Rotates what is sealed at rest: once at the start, since the key ring is read then.

Idempotent: what the current key sealed is left as it is. Nothing is lost by a key that is missing: what it
sealed stays, and is logged.
"""

from sqlalchemy import func, select, update

from slipway.inventory.tables import clusters, credentials
from slipway.runtime.database.engine import Database
from slipway.runtime.errors import SecretUnreadable
from slipway.runtime.process.logs import get_logger
from slipway.runtime.secrets.vault import Vault

log = get_logger()

AT_ONCE = 200
"""Rows of one transaction: nobody waits for a long one."""


class Resealing:
    """Brings every secret under the current key."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._unreadable = 0

    async def run(self) -> None:
        """Seal anew whatever an older key sealed."""
        self._unreadable = 0
        done = {"clusters": await self._clusters(), "credentials": await self._credentials()}
        if self._unreadable:
            log.error("secrets not sealed anew: their key is not in the ring", count=self._unreadable, **done)
        elif any(done.values()):
            log.info("secrets sealed under the current key: older keys can go", **done)

    async def _clusters(self) -> int:
        """Seal the secrets of clusters anew and return how many clusters changed."""
        total = 0
        async with self._database.begin() as tx:
            rows = (await tx.execute(select(clusters).order_by(clusters.c.id).with_for_update())).all()
            for row in rows:
                sealed = {field: self._reseal(text, row.id, field) for field, text in row.secrets.items()}
                if sealed != row.secrets:
                    same = clusters.c.id == row.id
                    await tx.execute(update(clusters).where(same).values(secrets=sealed))
                    total += 1
        return total

    async def _credentials(self) -> int:
        """Seal credentials anew, some rows at a time, and return how many."""
        older = ~func.starts_with(credentials.c.sealed, self._vault.current_beginning)
        query = select(credentials).where(older).order_by(credentials.c.id).limit(AT_ONCE).with_for_update()
        total, after = 0, ""
        while True:
            async with self._database.begin() as tx:
                rows = (await tx.execute(query.where(credentials.c.id > after))).all()
                for row in rows:
                    sealed = self._reseal(row.sealed, row.container_id, row.name)
                    if sealed != row.sealed:
                        same = credentials.c.id == row.id
                        await tx.execute(update(credentials).where(same).values(sealed=sealed))
                        total += 1
            if len(rows) < AT_ONCE:
                return total
            after = rows[-1].id

    def _reseal(self, sealed: str, owner: str, field: str) -> str:
        """Return a text sealed under the current key; the same one if it is already, or can't be opened."""
        if not self._vault.needs_resealing(sealed):
            return sealed
        try:
            return self._vault.reseal(sealed, owner=owner, field=field)
        except SecretUnreadable:
            self._unreadable += 1
            return sealed
