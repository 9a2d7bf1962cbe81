"""Discovers containers whose discovery is still owed, since monitor was away when they were made."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from slipway.contracts.containers import Container, ListContainers
from slipway.contracts.guests import DiscoverGuest
from slipway.contracts.problems import SlipwayError
from slipway.contracts.values import Lifecycle, Power
from slipway.monitor.discovery import Discoverer
from slipway.monitor.trouble import Trouble
from slipway.runtime.bus import Bus
from slipway.runtime.locks import Lease
from slipway.runtime.logs import get_logger
from slipway.runtime.problems import LeaseHeld

log = get_logger()

WARNING = "discovery-pending"
AT_ONCE = 4
MOST = 100
"""Looked at in one round; the next round goes on behind them."""
LONGEST_PAUSE_SECONDS = 600.0
LEASE = timedelta(seconds=30)
ONE_SECONDS = 25.0


@dataclass(slots=True)
class _Owed:
    """A discovery that failed before."""

    trouble: Trouble
    pause_seconds: float
    due_at: float = 0.0


class PendingScan:
    """Makes up for missed discoveries, on one replica at a time."""

    def __init__(self, bus: Bus, discoverer: Discoverer, *, every: timedelta) -> None:
        self._bus = bus
        self._discoverer = discoverer
        self._every = every.total_seconds()
        self._trouble = Trouble("scanning for pending discoveries")
        self._owed: dict[str, _Owed] = {}
        self._seen: set[str] = set()
        """What this walk through all pages has met so far."""
        self._cursor: str | None = None

    async def run(self) -> None:
        """Scan for ever."""
        while True:
            try:
                async with Lease(self._bus, "monitor-pending", LEASE):
                    await self.scan()
            except LeaseHeld:
                self._trouble.over()
            except SlipwayError as error:
                self._trouble.met(error)
            else:
                self._trouble.over()
            await asyncio.sleep(self._every)

    async def scan(self) -> None:
        """Try those on the next page that run and are due."""
        page = await self._bus.ask(ListContainers(warning=WARNING, limit=MOST, cursor=self._cursor))
        self._cursor = page.next
        free = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for container in page.items:
                if container.lifecycle is Lifecycle.READY and container.power is not Power.STOPPED:
                    group.create_task(self._one(container, free))
        self._seen |= {each.id for each in page.items}
        if page.next is None:
            self._owed = {each: owed for each, owed in self._owed.items() if each in self._seen}
            self._seen.clear()

    async def _one(self, container: Container, free: asyncio.Semaphore) -> None:
        query = DiscoverGuest(
            container=container.id, cluster=container.cluster_id, node=container.node, vmid=container.vmid
        )
        now = asyncio.get_running_loop().time
        known = Trouble("discovery", container=container.id)
        owed = self._owed.setdefault(container.id, _Owed(known, self._every))
        if now() < owed.due_at:
            return
        async with free:
            try:
                async with asyncio.timeout(ONE_SECONDS):
                    found = await self._discoverer.discover(query)
            except (SlipwayError, TimeoutError) as error:
                owed.trouble.met(error)
                owed.due_at = now() + owed.pause_seconds
                owed.pause_seconds = min(owed.pause_seconds * 2, LONGEST_PAUSE_SECONDS)
            else:
                self._owed.pop(container.id, None)
                log.info("owed discovery made", container=container.id, services=len(found.services))
