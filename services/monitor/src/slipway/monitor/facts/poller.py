"""Watches the nodes of one cluster: their facts are told when they have changed, and now and then anyway."""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from slipway.contracts.clusters import NodeFacts, NodeLook, NodeObserved
from slipway.contracts.problems import SlipwayError
from slipway.contracts.values import Outage
from slipway.monitor import diagnosis, outage_log
from slipway.monitor.access import Clusters
from slipway.monitor.domain import has_moved, with_last_known
from slipway.monitor.facts import reader
from slipway.monitor.looks import Look
from slipway.proxmox.hosts import Cluster
from slipway.runtime.bus.client import Bus
from slipway.runtime.process import clock

LOOK_SECONDS = 60.0
"""Of a whole look: every question in it ends sooner by itself."""
LEAST_PAUSE_SECONDS = 1.0
_WITHOUT_SHELL = (
    "Slipway has no SSH access to this node: its host key is not confirmed, or no login is known."
)


class NodeWatch:
    """Watches one cluster's nodes; whoever runs it holds the cluster's lease."""

    def __init__(
        self,
        cluster: str,
        bus: Bus,
        clusters: Clusters,
        look: Look,
        *,
        every: timedelta,
        due: asyncio.Event,
        stored: Callable[[], Iterable[NodeFacts]],
    ) -> None:
        """Ask nothing yet.

        Args:
            cluster: its id.
            bus: where facts are told.
            clusters: how it is reached.
            look: knows how the nodes are, and is told what of them is not known.
            every: the pause between two looks.
            due: cuts the pause short.
            stored: gives the facts that inventory keeps, to go on from.
        """
        self._cluster = cluster
        self._bus = bus
        self._clusters = clusters
        self._look = look
        self._every = every.total_seconds()
        self._due = due
        self._stored = stored
        self._outage_log = outage_log.OutageLog("reading facts", cluster=cluster)
        self._told: dict[str, NodeFacts] = {}

    async def run(self) -> None:
        """Look for ever: every now and then, and at once when told to."""
        while True:
            self._due.clear()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.look()
            except (SlipwayError, TimeoutError) as error:
                self._outage_log.met(error)
            await asyncio.sleep(min(LEAST_PAUSE_SECONDS, self._every))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), self._every)

    async def look(self) -> None:
        """Read all nodes once and tell what has changed."""
        read = await self._clusters.at(self._cluster, _read)
        for reading in read:
            await self._take(reading)
        if not all(reading.facts.is_ssh_usable for reading in read):
            # Somebody may confirm a host key or mend a login at any time.
            await self._clusters.renew(self._cluster)
        problem = next((reading.problem for reading in read if reading.problem is not None), None)
        if problem is None:
            self._outage_log.over()
        else:
            self._outage_log.met(problem)

    def known(self) -> set[str]:
        """Name all nodes that Slipway knows of; one that is gone only as long as inventory keeps it."""
        told = {name for name, each in self._told.items() if not _is_gone(each.outage)}
        return told | {each.node for each in self._stored()}

    async def follow(self, looks: Mapping[str, NodeLook]) -> None:
        """Tell at once how nodes are whose state has changed; their other facts stay."""
        for name, look in looks.items():
            known = self._last(name)
            if known is None:
                self._due.set()
            elif _is_gone(look.outage) or _state(known) != _state(look):
                await self._tell(known.model_copy(update={"observed_at": clock.now()}))
        self._told = {name: each for name, each in self._told.items() if name in looks}

    async def _take(self, reading: reader.NodeReading) -> None:
        seen = reading.facts
        why, ssh = reading.unanswered, seen.ssh_problem
        found = diagnosis.unanswered(seen.node, why, ssh) if seen.is_online else None
        storages_at = next((each.looked_at for each in seen.storages), None)
        self._look.node_told(seen.node, is_online=seen.is_online, storages_at=storages_at, found=found)
        await self._tell(with_last_known(seen, self._last(seen.node), reading.unanswered))

    def _last(self, node: str) -> NodeFacts | None:
        return self._told.get(node) or next((each for each in self._stored() if each.node == node), None)

    async def _tell(self, seen: NodeFacts) -> None:
        look = self._look.nodes.get(seen.node, NodeLook(node=seen.node, is_online=seen.is_online))
        seen = seen.model_copy(update={"is_online": look.is_online, "outage": look.outage})
        known = self._told.get(seen.node)
        if known is not None and not has_moved(known, seen):
            return
        node = f"{self._cluster}-{seen.node.lower()}"
        digest = hashlib.sha256(seen.model_dump_json().encode()).hexdigest()[:16]
        await self._bus.publish(
            NodeObserved(id=node, cluster=self._cluster, facts=seen), message_id=f"{node}:observed:{digest}"
        )
        self._told[seen.node] = seen


def _is_gone(outage: Outage | None) -> bool:
    return outage is not None and outage.code == diagnosis.NODE_GONE_CODE


def _state(node: NodeFacts | NodeLook) -> tuple[object, ...]:
    outage = node.outage
    return node.is_online, outage and (outage.code, outage.since)


async def _read(cluster: Cluster) -> tuple[reader.NodeReading, ...]:
    shells = {name: cluster.shell(name) for name in cluster.access.nodes}
    return await reader.read(cluster.api, shells, without_shell=_WITHOUT_SHELL)
