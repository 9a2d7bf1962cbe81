"""Discovers containers whose discovery is still owed, since monitor was away when they were made."""

import asyncio
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
"""Looked at in one round; the others come in the next ones."""
LEASE = timedelta(seconds=30)
ONE_SECONDS = 25.0


class PendingScan:
    """Makes up for missed discoveries, on one replica at a time."""

    def __init__(self, bus: Bus, discoverer: Discoverer, *, every: timedelta) -> None:
        self._bus = bus
        self._discoverer = discoverer
        self._every = every.total_seconds()
        self._trouble = Trouble("scanning for pending discoveries")
        self._troubles: dict[str, Trouble] = {}

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
        """Try every pending container once."""
        page = await self._bus.ask(ListContainers(warning=WARNING, limit=MOST))
        owed = [each for each in page.items if each.lifecycle is Lifecycle.READY]
        self._troubles = {
            each.id: self._troubles.get(each.id, Trouble("discovery", container=each.id)) for each in owed
        }
        free = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for container in owed:
                if container.power is not Power.STOPPED:
                    group.create_task(self._one(container, free))

    async def _one(self, container: Container, free: asyncio.Semaphore) -> None:
        query = DiscoverGuest(
            container=container.id, cluster=container.cluster_id, node=container.node, vmid=container.vmid
        )
        async with free:
            try:
                async with asyncio.timeout(ONE_SECONDS):
                    found = await self._discoverer.discover(query)
            except (SlipwayError, TimeoutError) as error:
                self._troubles[container.id].met(error)
            else:
                log.info("owed discovery made", container=container.id, services=len(found.services))
