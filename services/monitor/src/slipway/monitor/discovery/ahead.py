"""Sessions in guests, opened ahead of a discovery that is expected there soon.

A `pct exec` takes half a second before its command begins. Whoever will ask for a discovery says so while the
guest is still busy; the session then waits, and the discovery begins at once. A session that could not be
opened, or that nobody used within a while, costs nothing but the half second.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta

from slipway.contracts.guests import DiscoverGuest
from slipway.contracts.message import Id
from slipway.contracts.problems import SlipwayError
from slipway.monitor.access import ClusterConnections
from slipway.proxmox.guest_session import GuestSession
from slipway.proxmox.hosts import Cluster
from slipway.proxmox.pct import Pct, open_session
from slipway.runtime.process.ending import end

WAITS_SECONDS = 60.0
"""How long a session is held open for a discovery."""
MOST = 50
"""At the same time; for further guests none is opened ahead."""
OPEN_TIMEOUT = timedelta(seconds=5)


class SessionsAhead:
    """Sessions that wait for their discovery, one for each container."""

    def __init__(self, clusters: ClusterConnections) -> None:
        self._clusters = clusters
        self._holding: dict[Id, asyncio.Task[None]] = {}
        self._opening: dict[Id, asyncio.Future[GuestSession | None]] = {}

    def open(self, query: DiscoverGuest) -> None:
        """Open a session for a discovery to come; returns at once."""
        container = query.container
        if container not in self._holding and len(self._holding) < MOST:
            self._opening[container] = asyncio.get_running_loop().create_future()
            self._holding[container] = asyncio.create_task(self._hold(query), name=f"ahead {container}")

    async def take(self, container: Id) -> GuestSession | None:
        """Return the session of a container once it is open, to be closed by the caller; None without one."""
        opening = self._opening.get(container)
        if opening is None:
            return None
        session = await asyncio.shield(opening)
        if self._opening.pop(container, None) is None:
            return None
        await end(self._holding[container])
        return session

    async def aclose(self) -> None:
        """Close those that wait."""
        await end(*self._holding.values())

    async def _hold(self, query: DiscoverGuest) -> None:
        """Open a session, and close it if nobody takes it in time."""
        opening, session = self._opening[query.container], None
        try:
            with suppress(SlipwayError):
                session = await self._clusters.run(query.cluster, lambda cluster: _opened(cluster, query))
            opening.set_result(session)
            await asyncio.sleep(WAITS_SECONDS if session else 0)
        finally:
            del self._holding[query.container]
            if not opening.done():
                opening.set_result(None)
            if self._opening.pop(query.container, None) is not None and session is not None:
                await session.aclose()


async def _opened(cluster: Cluster, query: DiscoverGuest) -> GuestSession:
    shell = cluster.shell(query.node)
    session = open_session(shell, query.vmid)
    await Pct(shell, session).script(query.vmid, "true", timeout=OPEN_TIMEOUT)
    return session
