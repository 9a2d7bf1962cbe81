"""Refuses what a paused installation must not do, whoever asks.

The state is read at most every two seconds and held in memory. That decides only what is answered: that no
job begins and no command leaves is a condition in the statements themselves (`jobs.queue`, the outbox).
"""

from collections.abc import Mapping
from typing import Any

from slipway.contracts.installation import Installation, InstallationState
from slipway.contracts.message import Query
from slipway.inventory.installation.rules import REMEDY, InstallationPaused, is_allowed, refusal
from slipway.inventory.installation.store import read_installation
from slipway.runtime.database.engine import Database
from slipway.runtime.retry import Deadline

FRESH_SECONDS = 2.0


class Gate:
    """What this replica knows of the state."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Installation | None = None
        self._fresh = Deadline(-1.0)

    async def refuse_while_paused(self, query: Query[Any]) -> None:
        """Raise if a query would change something, and the installation is paused."""
        if is_allowed(query.subject):
            return
        if await self.is_paused() and self._known is not None:
            raise refusal(query.subject, self._known.reason or "")

    async def is_paused(self) -> bool:
        """Return whether the installation is paused."""
        if self._known is None or self._fresh.has_passed:
            await self.load()
        return self._known is None or self._known.state is InstallationState.PAUSED

    async def load(self) -> None:
        """Read the state; raise `DatabaseUnavailable` if the database does not answer."""
        async with self._database.autocommit() as tx:
            self.note(await read_installation(tx))

    def note(self, installation: Installation) -> None:
        """Take over a state that was just read or written."""
        self._known, self._fresh = installation, Deadline(FRESH_SECONDS)

    def shortages(self) -> Mapping[str, str]:
        """Return that it is paused, for `/readyz`."""
        if self._known is None or self._known.state is InstallationState.ACTIVE:
            return {}
        return {InstallationPaused.code: f"Slipway is paused: {self._known.reason} {REMEDY}"}
