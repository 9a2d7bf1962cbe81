"""Catch up on pending discoveries: monitor was away, the guest was not up, or others have changed it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta

from slipway.contracts.containers import Container, ListContainers
from slipway.contracts.guests import DiscoverGuest, Discovery
from slipway.contracts.problems import SlipwayError
from slipway.contracts.values import CONFIG_UNREAD, DISCOVERY_PENDING, Lifecycle, Power
from slipway.monitor.discovery.discover import Discoverer
from slipway.monitor.outage_log import OutageLog
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.locks import Lease
from slipway.runtime.errors import LeaseHeld
from slipway.runtime.process.logs import get_logger
from slipway.runtime.retry import Backoff, Deadline

log = get_logger()

AT_ONCE = 4
MOST = 100
"""Containers of one round; the next round continues behind them."""
LONGEST_PAUSE_SECONDS = 600.0
LEASE = timedelta(seconds=30)
ONE_SECONDS = 25.0
SETTLES_SECONDS = 1.0


@dataclass(slots=True)
class _PendingLook:
    """A discovery that has failed before."""

    outage_log: OutageLog
    backoff: Backoff
    due: Deadline


class PendingScan:
    """Catches up on discoveries and configs of guests, on one replica at a time."""

    def __init__(self, bus: Bus, discoverer: Discoverer, *, every: timedelta) -> None:
        self._bus = bus
        self._every = every.total_seconds()
        self._changed: set[tuple[str, int]] = set()
        self._due = asyncio.Event()
        self._outage_log = OutageLog("scanning for pending discoveries")
        self._kinds = (
            _Kind(bus, CONFIG_UNREAD, discoverer.read_config, self._every, of_stopped=True),
            _Kind(bus, DISCOVERY_PENDING, discoverer.discover, self._every, of_stopped=False),
        )

    def look_soon(self, cluster: str, vmid: int) -> None:
        """Look soon at a guest that has changed, whatever failed before."""
        self._changed.add((cluster, vmid))
        self._due.set()

    async def run(self) -> None:
        """Scan for ever."""
        while True:
            try:
                if await self._is_any_pending():
                    async with Lease(self._bus, "monitor-pending", LEASE):
                        await self.scan()
            except LeaseHeld:
                self._outage_log.recovered()
            except SlipwayError as error:
                self._outage_log.failed(error)
            else:
                self._outage_log.recovered()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._due.wait()
                    # Inventory receives the change as well and marks what is pending.
                    await asyncio.sleep(SETTLES_SECONDS)
            self._due.clear()

    async def _is_any_pending(self) -> bool:
        return any([await kind.is_pending() for kind in self._kinds])

    async def scan(self) -> None:
        """Try those on the next pages that are due."""
        changed, self._changed = frozenset(self._changed), set()
        for kind in self._kinds:
            await kind.scan(changed)


class _Kind:
    """One warning of containers, and the discovery that clears it."""

    def __init__(
        self,
        bus: Bus,
        warning: str,
        look: Callable[[DiscoverGuest], Awaitable[object]],
        pause_seconds: float,
        *,
        of_stopped: bool,
    ) -> None:
        self._bus = bus
        self._warning = warning
        self._look = look
        self._pause_seconds = pause_seconds
        self._of_stopped = of_stopped
        self.pending: dict[str, _PendingLook] = {}
        self._seen: set[str] = set()
        """Containers on the pages that this round has read so far."""
        self._cursor: str | None = None

    async def is_pending(self) -> bool:
        """Return whether any container has the warning; if none has, what failed before is forgotten."""
        page = await self._bus.ask(ListContainers(warning=self._warning, limit=1))
        if not page.items:
            self.pending.clear()
        return bool(page.items)

    async def scan(self, changed: Collection[tuple[str, int]]) -> None:
        """Try those on the next page that are due, and those that have changed."""
        page = await self._bus.ask(ListContainers(warning=self._warning, limit=MOST, cursor=self._cursor))
        self._cursor = page.next
        free = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for container in page.items:
                if (container.cluster_id, container.vmid) in changed:
                    self.pending.pop(container.id, None)
                is_seen = self._of_stopped or container.power is not Power.STOPPED
                if container.lifecycle is Lifecycle.READY and is_seen:
                    group.create_task(self._one(container, free))
        self._seen |= {each.id for each in page.items}
        if page.next is None:
            self.pending = {each: pending for each, pending in self.pending.items() if each in self._seen}
            self._seen.clear()

    def _first(self, container: str) -> _PendingLook:
        backoff = Backoff(first_seconds=self._pause_seconds, longest_seconds=LONGEST_PAUSE_SECONDS)
        return _PendingLook(OutageLog(self._warning, container=container), backoff, due=Deadline(-1.0))

    async def _one(self, container: Container, free: asyncio.Semaphore) -> None:
        query = DiscoverGuest(
            container=container.id, cluster=container.cluster_id, node=container.node, vmid=container.vmid
        )
        pending = self.pending.setdefault(container.id, self._first(container.id))
        if not pending.due.has_passed:
            return
        async with free:
            try:
                async with asyncio.timeout(ONE_SECONDS):
                    result = await self._look(query)
            except (SlipwayError, TimeoutError) as error:
                pending.outage_log.failed(error)
            else:
                if not isinstance(result, Discovery) or result.is_settled:
                    self.pending.pop(container.id, None)
                    log.info("pending discovery done", container=container.id, warning=self._warning)
                    return
            pending.due = Deadline(pending.backoff.advance())
