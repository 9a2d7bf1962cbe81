"""Removes old rows: once at the start, then every hour. Idempotent: a removed row is not found again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from slipway.contracts.problems import Unavailable
from slipway.inventory.retention.store import AT_ONCE, RetentionStore
from slipway.runtime.process.clock import now
from slipway.runtime.process.logs import get_logger

log = get_logger()

KEYS_STORED = timedelta(days=1)
"""For how long a request under the same Idempotency-Key gets the same answer."""
_EVERY_SECONDS = 3600.0


class Retention:
    """Removes old jobs, deleted containers, audit entries and Idempotency-Keys."""

    def __init__(self, store: RetentionStore, *, jobs: timedelta, audit: timedelta) -> None:
        self._store = store
        self._jobs = jobs
        self._audit = audit

    async def run(self, is_paused: Callable[[], Awaitable[bool]]) -> None:
        """Remove what is old, until cancelled; nothing while Slipway is paused."""
        while True:
            try:
                if not await is_paused():
                    await self.remove_all()
            except Unavailable as error:
                log.warning("old rows not removed", reason=error.message, code=error.code)
            await asyncio.sleep(_EVERY_SECONDS)

    async def remove_all(self) -> None:
        """Remove all that is old by now."""
        at = now()
        removed = {
            "jobs": await _all_of(self._store.remove_jobs, at - self._jobs),
            "containers": await _all_of(self._store.remove_containers, at - self._jobs),
            "audit": await _all_of(self._store.remove_audit, at - self._audit),
            "keys": await _all_of(self._store.remove_keys, at - KEYS_STORED),
        }
        if any(removed.values()):
            log.info("old rows removed", **removed)


async def _all_of(remove: Callable[[datetime], Awaitable[int]], before: datetime) -> int:
    total = 0
    while removed := await remove(before):
        total += removed
        if removed < AT_ONCE:
            break
    return total
