"""Looks at the folder again and again, and serves what changed.

The archive is in the object store before its row is: whoever is told of a bundle can fetch it. Any replica
may do this at any time: the same content has the same hash, and the row is taken under a lock.
"""

import asyncio
from datetime import timedelta
from pathlib import Path

from slipway.catalog.scanner import Scan, digest, scan
from slipway.catalog.store import TemplateStore
from slipway.contracts.templates import TemplateFault
from slipway.runtime.bundles import Bundles
from slipway.runtime.clock import now
from slipway.runtime.logs import get_logger

log = get_logger()


class Schedule:
    """The loop, and what the last look could not read."""

    def __init__(self, store: TemplateStore, bundles: Bundles, *, folder: Path, every: timedelta) -> None:
        self._store = store
        self._bundles = bundles
        self._folder = folder
        self._every = every
        self.faults: tuple[TemplateFault, ...] = ()

    async def run(self) -> None:
        """Look for ever."""
        seen = None
        while True:
            current = await asyncio.to_thread(digest, self._folder)
            if current != seen:
                await self.serve(await asyncio.to_thread(scan, self._folder))
                seen = current
            await asyncio.sleep(self._every.total_seconds())

    async def serve(self, found: Scan) -> None:
        """Serve what one look found."""
        for template in found.templates:
            bundle = await self._bundles.put(template.archive)
            await self._store.serve(template.manifest, bundle, at=now())
        broken = {fault.folder for fault in found.faults}
        await self._store.retire_all_but({t.manifest.name for t in found.templates} | broken)
        self.faults = found.faults
        for fault in found.faults:
            log.warning("template not served", folder=fault.folder, reason=fault.message)
        log.info("templates served", count=len(found.templates), faults=len(found.faults))
