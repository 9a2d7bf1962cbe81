"""What a restore changes in the database, before any service runs on it."""

from datetime import datetime

from sqlalchemy import update

from slipway.contracts.installation import PauseCause
from slipway.inventory.installation.rules import restored_reason
from slipway.inventory.installation.store import baseline, pause
from slipway.inventory.tables import installation
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from slipway.runtime.process.settings import DatabaseSettings


async def pause_restored(settings: DatabaseSettings, *, backup_at: datetime) -> None:
    """Pause an installation that was just restored: it acts when the difference was confirmed."""
    database = Database(settings)
    try:
        async with database.begin() as tx:
            paused = pause(
                cause=PauseCause.RESTORED,
                reason=restored_reason(backup_at),
                at=now(),
                baseline=await baseline(tx),
                backup_at=backup_at,
            )
            await tx.execute(paused.statement)
            await tx.execute(update(installation).values(generation=installation.c.generation + 1))
    finally:
        await database.dispose()
