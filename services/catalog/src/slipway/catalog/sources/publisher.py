"""Scan the folder at an interval, and publish the templates that have changed.

The archive is stored before its row: a published bundle can always be fetched. Any replica may do this at any
time: the same content has the same hash, and the row is written under a lock. An archive that the object
store has lost (a new bus) is stored again.
"""

import asyncio
import itertools
from datetime import timedelta
from pathlib import Path

from slipway.catalog.publishing.store import TemplateStore
from slipway.catalog.sources.scanner import ScanResult, digest, scan
from slipway.contracts.problems import Unavailable
from slipway.contracts.templates import TemplateFault
from slipway.runtime.bus.bundles import Bundles
from slipway.runtime.process.clock import now
from slipway.runtime.process.logs import get_logger

log = get_logger()

LOST_ROUNDS = 6
"""After so many scans the bus is asked whether it still has the archives."""


class TemplatePublisher:
    """Publishes the templates of a folder, and has the faults of the last scan."""

    def __init__(self, store: TemplateStore, bundles: Bundles, *, folder: Path, every: timedelta) -> None:
        self._store = store
        self._bundles = bundles
        self._folder = folder
        self._every = every
        self.faults: tuple[TemplateFault, ...] = ()
        self._stored: set[str] = set()

    async def run(self) -> None:
        """Scan for ever."""
        last = None
        for number in itertools.count():
            current = await asyncio.to_thread(digest, self._folder)
            if current != last or (number % LOST_ROUNDS == 0 and await self._is_lost()):
                await self.serve(await asyncio.to_thread(scan, self._folder))
                last = current
            await asyncio.sleep(self._every.total_seconds())

    async def serve(self, result: ScanResult) -> None:
        """Serve the templates of one scan."""
        stored = set()
        for template in result.templates:
            bundle = await self._bundles.put(template.archive)
            stored.add(bundle)
            await self._store.serve(template.manifest, bundle, at=now())
        broken = {fault.folder for fault in result.faults}
        await self._store.retire_all_but({t.manifest.name for t in result.templates} | broken)
        self.faults, self._stored = result.faults, stored
        for fault in result.faults:
            log.warning("template not served", folder=fault.folder, reason=fault.message)
        log.info("templates served", count=len(result.templates), faults=len(result.faults))

    async def _is_lost(self) -> bool:
        """Whether the object store lacks a served bundle; False while it is away."""
        try:
            return not all([await self._bundles.has(bundle) for bundle in self._stored])
        except Unavailable:
            return False
