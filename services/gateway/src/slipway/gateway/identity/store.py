"""All SQL of the gateway: sessions of browsers."""

from sqlalchemy import delete, insert

from slipway.contracts.message import Moment
from slipway.gateway.tables import sessions
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now

_ACTOR = "select actor from sessions where digest = $1 and expires_at > $2"


class SessionStore:
    """Sessions, by the digest of their cookie."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, digest: str, actor: str, expires_at: Moment) -> None:
        """Keep a session; those that are over are forgotten."""
        async with self._database.begin() as connection:
            await connection.execute(delete(sessions).where(sessions.c.expires_at < now()))
            await connection.execute(
                insert(sessions).values(digest=digest, actor=actor, expires_at=expires_at)
            )

    async def actor_of(self, digest: str) -> str | None:
        """Return the actor of a session; None if there is none, or if it has ended."""
        rows = await self._database.fetch(_ACTOR, digest, now())
        return rows[0].actor if rows else None

    async def close(self, digest: str) -> None:
        """End a session."""
        async with self._database.begin() as connection:
            await connection.execute(delete(sessions).where(sessions.c.digest == digest))
