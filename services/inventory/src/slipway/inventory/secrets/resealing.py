"""Rotates what is sealed at rest: once at the start, since the key ring is read then.

Idempotent: what the current key sealed is left as it is. Nothing is lost by a key that is missing: what it
sealed stays, and is logged.
"""

from slipway.inventory.secrets.resealing_store import ResealingStore
from slipway.runtime.errors import SecretUnreadable
from slipway.runtime.process.logs import get_logger
from slipway.runtime.secrets.vault import Vault

log = get_logger()


class Resealing:
    """Brings every secret under the current key."""

    def __init__(self, store: ResealingStore, vault: Vault) -> None:
        self._store = store
        self._vault = vault
        self._unreadable = 0

    async def run(self) -> None:
        """Seal anew whatever an older key sealed."""
        self._unreadable = 0
        done = {
            "clusters": await self._store.clusters(self._reseal),
            "credentials": await self._store.credentials(self._vault.current_beginning, self._reseal),
        }
        if self._unreadable:
            log.error("secrets not sealed anew: their key is not in the ring", count=self._unreadable, **done)
        elif any(done.values()):
            log.info("secrets sealed under the current key: older keys can go", **done)

    def _reseal(self, sealed: str, owner: str, field: str) -> str:
        if not self._vault.needs_resealing(sealed):
            return sealed
        try:
            return self._vault.reseal(sealed, owner=owner, field=field)
        except SecretUnreadable:
            self._unreadable += 1
            return sealed
