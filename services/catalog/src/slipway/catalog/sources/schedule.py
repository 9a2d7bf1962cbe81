"""Looks at the folder again and again, and serves what changed.

The archive is in the object store before its row is: whoever is told of a bundle can fetch it. Any replica
may do this at any time: the same content has the same hash, and the row is taken under a lock. An archive
that the store has lost (a bus that was set up anew) is stored again.
"""

import asyncio
from datetime import timedelta
from pathlib import Path

from slipway.catalog.publishing.store import TemplateStore
from slipway.catalog.sources.scanner import Scan, digest, scan
from slipway.contracts.problems import Unavailable
from slipway.contracts.templates import TemplateFault
from slipway.runtime.bus.bundles import Bundles
from slipway.runtime.process.clock import now
from slipway.runtime.process.logs import get_logger

log = get_logger()


class Schedule:
    """The loop, and what the last look could not read."""

    def __init__(self, store: TemplateStore, bundles: Bundles, *, folder: Path, every: timedelta) -> None:
        self._store = store
        self._bundles = bundles
        self._folder = folder
        self._every = every
        self.faults: tuple[TemplateFault, ...] = ()
        self._stored: set[str] = set()

    async def run(self) -> None:
        """Look for ever."""
        seen = None
        while True:
            current = await asyncio.to_thread(digest, self._folder)
            if current != seen or await self._is_lost():
                await self.serve(await asyncio.to_thread(scan, self._folder))
                seen = current
            await asyncio.sleep(self._every.total_seconds())

    async def serve(self, found: Scan) -> None:
        """Serve what one look found."""
        stored = set()
        for template in found.templates:
            bundle = await self._bundles.put(template.archive)
            stored.add(bundle)
            await self._store.serve(template.manifest, bundle, at=now())
        broken = {fault.folder for fault in found.faults}
        await self._store.retire_all_but({t.manifest.name for t in found.templates} | broken)
        self.faults, self._stored = found.faults, stored
        for fault in found.faults:
            log.warning("template not served", folder=fault.folder, reason=fault.message)
        log.info("templates served", count=len(found.templates), faults=len(found.faults))

    async def _is_lost(self) -> bool:
        """Whether the store lacks what is served; not known while it is away."""
        try:
            return not all([await self._bundles.has(bundle) for bundle in self._stored])
        except Unavailable:
            return False
