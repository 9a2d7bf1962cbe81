"""Counts of what a stack did: PostgreSQL's statements and commits, messages that the bus stored.

PostgreSQL writes each statement to its log meanwhile, which costs time: nothing else is measured then.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import nats

from support.stack import RunningStack

_STATEMENT = re.compile(rb"LOG:  duration: \S+ ms  (?:statement|execute [^:]*): (.*)")
_SETTLE_SECONDS = 0.3
"""Until the log shows the statements that have ended."""


@dataclass(slots=True)
class Counts:
    """What was counted; filled when the block ends."""

    statements: list[str]
    """Each one's beginning; pings and transactions too."""
    messages: int = 0

    @property
    def commits(self) -> int:
        """How many of the statements committed a transaction."""
        return sum(each.startswith("COMMIT") for each in self.statements)


class Counter:
    """Counts in a running stack."""

    def __init__(self, stack: RunningStack) -> None:
        self._log = stack.data / "postgres.log"
        self._admin_url = stack.database_url_of_admin
        self._nats = stack.endpoints["nats"]
        self._key = stack.data / "identities" / "admin.nk"

    @asynccontextmanager
    async def logging(self) -> AsyncIterator[None]:
        """Have PostgreSQL write each statement to its log."""
        await self._set("alter system set log_min_duration_statement = 0")
        try:
            yield
        finally:
            await self._set("alter system reset log_min_duration_statement")

    @asynccontextmanager
    async def counting(self) -> AsyncIterator[Counts]:
        """Count what happens in the block, within `logging`."""
        counts = Counts([])
        before, size = await self._stored(), self._log.stat().st_size
        yield counts
        await asyncio.sleep(_SETTLE_SECONDS)
        counts.messages = await self._stored() - before
        counts.statements = _statements(self._log, size)

    async def _set(self, statement: str) -> None:
        connection = await asyncpg.connect(self._admin_url)
        try:
            await connection.execute(statement)
            await connection.execute("select pg_reload_conf()")
            await asyncio.sleep(_SETTLE_SECONDS)
        finally:
            await connection.close()

    async def _stored(self) -> int:
        """Return how many messages all streams have ever stored."""
        connection = await nats.connect(self._nats, nkeys_seed=str(self._key))
        try:
            return sum(each.state.last_seq for each in await connection.jetstream().streams_info())
        finally:
            await connection.close()


def _statements(log: Path, offset: int) -> list[str]:
    with log.open("rb") as file:
        file.seek(offset)
        found = (_STATEMENT.search(line) for line in file)
        texts = [match[1].decode(errors="replace")[:200] for match in found if match is not None]
    return [text for text in texts if "pg_reload_conf" not in text]
