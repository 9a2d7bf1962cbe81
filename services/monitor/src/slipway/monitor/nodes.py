"""Watches the nodes of one cluster: their facts are told when they have changed, and now and then anyway."""

import asyncio
import contextlib
import hashlib
from datetime import timedelta

from slipway.contracts.clusters import NodeFacts, NodeObserved
from slipway.contracts.problems import SlipwayError
from slipway.monitor import facts
from slipway.monitor.access import Clusters
from slipway.monitor.domain import has_moved
from slipway.monitor.trouble import Trouble
from slipway.proxmox.errors import NodeUnreachable
from slipway.proxmox.hosts import Cluster
from slipway.runtime.bus import Bus

LOOK_SECONDS = 40.0
LEAST_PAUSE_SECONDS = 1.0
_WITHOUT_SHELL = (
    "Slipway has no SSH access to this node: its host key is not confirmed, or no login is known."
)


class NodeWatch:
    """Watches one cluster's nodes; whoever runs it holds the cluster's lease."""

    def __init__(
        self, cluster: str, bus: Bus, clusters: Clusters, *, every: timedelta, due: asyncio.Event
    ) -> None:
        self._cluster = cluster
        self._bus = bus
        self._clusters = clusters
        self._every = every.total_seconds()
        self._due = due
        self._trouble = Trouble("reading facts", cluster=cluster)
        self._told: dict[str, NodeFacts] = {}

    async def run(self) -> None:
        """Look for ever: every now and then, and at once when told to."""
        while True:
            self._due.clear()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.look()
            except (SlipwayError, TimeoutError) as error:
                self._trouble.met(error)
            await asyncio.sleep(min(LEAST_PAUSE_SECONDS, self._every))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), self._every)

    async def look(self) -> None:
        """Read all nodes once and tell what has changed."""
        read = await self._clusters.at(self._cluster, _read)
        for reading in read:
            if (seen := self._merged(reading)) is not None:
                await self._tell(seen)
        if not all(reading.facts.is_ssh_usable for reading in read):
            # Somebody may confirm a host key or mend a login at any time.
            await self._clusters.renew(self._cluster)
        problem = next((reading.problem for reading in read if reading.problem is not None), None)
        if problem is None:
            self._trouble.over()
        else:
            self._trouble.met(problem)

    def _merged(self, reading: facts.NodeReading) -> NodeFacts | None:
        """What to believe of a node: of one that is away, what was last known of it; None is nothing new."""
        seen, known = reading.facts, self._told.get(reading.facts.node)
        if reading.problem is not None and not isinstance(reading.problem, NodeUnreachable):
            return None
        if seen.is_online or known is None:
            return seen
        fresh = {"is_online", "is_ssh_usable", "ssh_problem", "observed_at", "vmids"}
        return known.model_copy(update={name: getattr(seen, name) for name in fresh})

    async def _tell(self, seen: NodeFacts) -> None:
        known = self._told.get(seen.node)
        if known is not None and not has_moved(known, seen):
            return
        node = f"{self._cluster}-{seen.node.lower()}"
        digest = hashlib.sha256(seen.model_dump_json().encode()).hexdigest()[:16]
        await self._bus.publish(
            NodeObserved(id=node, cluster=self._cluster, facts=seen), message_id=f"{node}:observed:{digest}"
        )
        self._told[seen.node] = seen


async def _read(cluster: Cluster) -> tuple[facts.NodeReading, ...]:
    shells = {name: cluster.shell(name) for name in cluster.access.nodes}
    return await facts.read(cluster.api, shells, without_shell=_WITHOUT_SHELL)
