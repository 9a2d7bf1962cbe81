"""What the last looks at one cluster said, for whoever shows or uses it: one small value on the bus.

The value is written at the pace of the polls, whatever came of them: how old it is tells whether monitor
lives, what is in it whether the cluster does. Nothing of it is an event, and nothing of it is stored twice.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from slipway.contracts.clusters import ClusterLook, NodeLook, VmidRange
from slipway.contracts.message import Moment
from slipway.contracts.problems import SlipwayError
from slipway.contracts.values import Outage
from slipway.monitor import outage_log
from slipway.monitor.diagnosis import Diagnosis, standing
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.kv import Bucket
from slipway.runtime.process import clock
from slipway.runtime.topology import LOOKS


@dataclass(slots=True)
class _Node:
    """What is known of a node's state."""

    is_online: bool = True
    looked_at: Moment | None = None
    storages_at: Moment | None = None
    life: Diagnosis | None = None
    """What is wrong with the node itself."""
    facts: Diagnosis | None = None
    """What of it is not known now."""
    outage: Outage | None = None


class Look:
    """What the last looks at a cluster said."""

    def __init__(self, cluster: str, *, every_seconds: float) -> None:
        self._cluster = cluster
        self._every_seconds = every_seconds
        self._looked_at: Moment | None = None
        self._outage: Outage | None = None
        self._of_poll: Diagnosis | None = None
        self._of_pulse: Diagnosis | None = None
        self._nodes: dict[str, _Node] = {}
        self._guests: tuple[VmidRange, ...] = ()

    def resume(self, before: ClusterLook) -> None:
        """Go on from what another replica, or an earlier start, wrote last."""
        self._looked_at, self._outage, self._guests = before.looked_at, before.outage, before.guests
        self._nodes = {
            each.node: _Node(
                is_online=each.is_online,
                looked_at=each.looked_at,
                storages_at=each.storages_at,
                outage=each.outage,
            )
            for each in before.nodes
        }

    @property
    def nodes(self) -> Mapping[str, NodeLook]:
        """The nodes by name."""
        return {name: _node_look(name, node) for name, node in self._nodes.items()}

    def polled(self, vmids: Iterable[int], found: Diagnosis | None) -> None:
        """Take that the cluster has answered about its guests, and what is wrong nevertheless."""
        self._of_poll = found
        self._guests = ranges(vmids)
        if self._diagnose() is None:
            self._looked_at = clock.now()

    def failed(self, found: Diagnosis) -> None:
        """Take that the cluster has not answered about its guests."""
        self._of_poll = found
        self._diagnose()

    def pulsed(self, found: Diagnosis | None) -> None:
        """Take what is wrong with the cluster as a whole beside its guests."""
        self._of_pulse = found
        self._diagnose()

    def node_lives(self, node: str, *, is_online: bool, found: Diagnosis | None) -> None:
        """Take whether a node answers."""
        known = self._nodes.setdefault(node, _Node())
        known.is_online, known.life = is_online, found
        if found is None:
            known.looked_at = clock.now()
        self._settle(known)

    def node_told(
        self, node: str, *, is_online: bool, storages_at: Moment | None, found: Diagnosis | None
    ) -> None:
        """Take what of a node is not known now, and when its storages were."""
        known = self._nodes.setdefault(node, _Node(is_online=is_online))
        known.storages_at, known.facts = storages_at or known.storages_at, found
        self._settle(known)

    def drop_nodes(self, stored: Iterable[str]) -> None:
        """Forget all nodes but these."""
        names = set(stored)
        self._nodes = {name: node for name, node in self._nodes.items() if name in names}

    def value(self) -> ClusterLook:
        """Say it as it goes over the bus."""
        return ClusterLook(
            cluster=self._cluster,
            at=clock.now(),
            every_seconds=self._every_seconds,
            looked_at=self._looked_at,
            outage=self._outage,
            nodes=tuple(each for _, each in sorted(self.nodes.items())),
            guests=self._guests,
        )

    def _diagnose(self) -> Outage | None:
        self._outage = standing(self._outage, self._of_poll or self._of_pulse, clock.now())
        return self._outage

    def _settle(self, node: _Node) -> None:
        node.outage = standing(node.outage, node.life or node.facts, clock.now())


class LookWriter:
    """Writes a cluster's look; whoever runs it holds the cluster's lease."""

    def __init__(self, bus: Bus, cluster: str, look: Look, *, every_seconds: float) -> None:
        self._bucket = Bucket(bus, LOOKS)
        self._cluster = cluster
        self._look = look
        self._every_seconds = every_seconds
        self._outage_log = outage_log.OutageLog("writing looks", cluster=cluster)

    async def resume(self) -> None:
        """Go on from what was written last."""
        entry = await self._bucket.get(self._cluster)
        if entry is not None:
            self._look.resume(ClusterLook.model_validate_json(entry.value))

    async def run(self) -> None:
        """Write for ever; while the bus is away nobody could read it either."""
        while True:
            try:
                await self._bucket.put(self._cluster, self._look.value().model_dump_json().encode())
            except SlipwayError as error:
                self._outage_log.met(error)
            else:
                self._outage_log.over()
            await asyncio.sleep(self._every_seconds)


def ranges(vmids: Iterable[int]) -> tuple[VmidRange, ...]:
    """Say VMIDs as ranges: a thousand that follow each other are two numbers."""
    found: list[VmidRange] = []
    for vmid in sorted(set(vmids)):
        if found and found[-1].last == vmid - 1:
            found[-1] = VmidRange(first=found[-1].first, last=vmid)
        else:
            found.append(VmidRange(first=vmid, last=vmid))
    return tuple(found)


def _node_look(name: str, node: _Node) -> NodeLook:
    return NodeLook(
        node=name,
        is_online=node.is_online,
        looked_at=node.looked_at,
        storages_at=node.storages_at,
        outage=node.outage,
    )
