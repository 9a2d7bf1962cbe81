"""The last look at one cluster, as one small value on the bus for everyone who shows or uses it.

The value is written when something was noted, and every few seconds whatever comes of the polls: its age
shows whether monitor lives, its content whether the cluster does. Nothing of it is an event, and nothing of
it is stored twice.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping

from slipway.contracts.cluster_facts import ClusterLook, NodeLook, OwnTask, VmidRange
from slipway.contracts.message import Moment
from slipway.contracts.problems import SlipwayError
from slipway.contracts.values import Outage
from slipway.monitor.diagnosis import Diagnosis, outage_of
from slipway.monitor.outage_log import OutageLog
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.kv import Bucket
from slipway.runtime.process import clock
from slipway.runtime.topology.declared import LOOKS

LEAST_PAUSE_SECONDS = 1.0


class Look:
    """The last look at a cluster."""

    def __init__(self, cluster: str, *, every_seconds: float) -> None:
        self.cluster = cluster
        self.every_seconds = every_seconds
        self.noted = asyncio.Event()
        """Set when the value has changed."""
        self._looked_at: Moment | None = None
        self._outage: Outage | None = None
        self._of_poll: Diagnosis | None = None
        self._of_health: Diagnosis | None = None
        self._nodes: dict[str, NodeLook] = {}
        self._of_nodes: dict[str, Diagnosis | None] = {}
        self._of_facts: dict[str, Diagnosis | None] = {}
        """Diagnoses of the nodes' unanswered questions."""
        self._guests: tuple[VmidRange, ...] = ()
        self._tasks: tuple[OwnTask, ...] = ()
        self._tasks_at: Moment | None = None

    def resume(self, before: ClusterLook) -> None:
        """Continue from the value that another replica, or an earlier start, wrote last."""
        self._looked_at, self._outage, self._guests = before.looked_at, before.outage, before.guests
        self._nodes = {each.node: each for each in before.nodes}

    @property
    def nodes(self) -> Mapping[str, NodeLook]:
        """The nodes by name, as they are now."""
        return dict(self._nodes)

    def note_poll(self, vmids: Iterable[int], diagnosis: Diagnosis | None) -> None:
        """Note that the cluster has answered about its guests, and what is wrong nevertheless."""
        self._of_poll = diagnosis
        self._guests = ranges(vmids)
        if self._diagnose() is None:
            self._looked_at = clock.now()
        self.noted.set()

    def note_failure(self, diagnosis: Diagnosis) -> None:
        """Note that the cluster has not answered about its guests."""
        self._of_poll = diagnosis
        self._diagnose()

    def note_health(self, diagnosis: Diagnosis | None) -> None:
        """Note what is wrong with the cluster as a whole beside its guests."""
        self._of_health = diagnosis
        self._diagnose()

    def note_tasks(self, tasks: Iterable[OwnTask]) -> None:
        """Note the tasks that our own token has started."""
        self._tasks, self._tasks_at = tuple(tasks), clock.now()
        self.noted.set()

    def note_node(self, node: str, *, is_online: bool, diagnosis: Diagnosis | None) -> None:
        """Note whether a node answers."""
        self._of_nodes[node] = diagnosis
        changes: dict[str, object] = {"is_online": is_online}
        if diagnosis is None:
            changes["looked_at"] = clock.now()
        self._change(self._nodes.get(node, NodeLook(node=node)), changes)

    def note_answer(self, node: str) -> None:
        """Note that a node has answered; what is known to be wrong with it stays."""
        if node in self._nodes and self._of_nodes.get(node) is None:
            self._change(self._nodes[node], {"looked_at": clock.now()})

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong with the cluster and its nodes, as far as that is known."""
        return self._outage is None and all(each.outage is None for each in self._nodes.values())

    def note_facts(
        self, node: str, *, is_online: bool, parts_at: Mapping[str, Moment], diagnosis: Diagnosis | None
    ) -> None:
        """Note what of a node is unknown now, and when each part of its facts was read."""
        self._of_facts[node] = diagnosis
        before = self._nodes.get(node, NodeLook(node=node, is_online=is_online))
        times = {**before.parts_at, **parts_at}
        self._change(before, {"storages_at": times.get("storages", before.storages_at), "parts_at": times})

    def drop_nodes(self, stored: Iterable[str]) -> None:
        """Forget all nodes but these."""
        for node in self._nodes.keys() - set(stored):
            self.noted.set()
            del self._nodes[node]
            self._of_nodes.pop(node, None)
            self._of_facts.pop(node, None)

    def value(self) -> ClusterLook:
        """Return it as the message for the bus."""
        return ClusterLook(
            cluster=self.cluster,
            at=clock.now(),
            every_seconds=self.every_seconds,
            looked_at=self._looked_at,
            outage=self._outage,
            nodes=tuple(each for _, each in sorted(self.nodes.items())),
            guests=self._guests,
            tasks_at=self._tasks_at,
            tasks=self._tasks,
        )

    def _diagnose(self) -> Outage | None:
        before = self._outage
        self._outage = outage_of(before, self._of_poll or self._of_health, clock.now())
        if self._outage != before:
            self.noted.set()
        return self._outage

    def _change(self, node: NodeLook, changes: Mapping[str, object]) -> None:
        diagnosis = self._of_nodes.get(node.node) or self._of_facts.get(node.node)
        outage = outage_of(node.outage, diagnosis, clock.now())
        self._nodes[node.node] = node.model_copy(update={**changes, "outage": outage})
        if self._nodes[node.node] != node:
            self.noted.set()


class LookWriter:
    """Writes a cluster's look; the caller holds the cluster's lease."""

    def __init__(self, bus: Bus, look: Look) -> None:
        self._bucket = Bucket(bus, LOOKS)
        self._look = look
        self._outage_log = OutageLog("writing looks", cluster=look.cluster)

    async def resume(self) -> None:
        """Continue from the last written value."""
        entry = await self._bucket.get(self._look.cluster)
        if entry is not None:
            self._look.resume(ClusterLook.model_validate_json(entry.value))

    async def run(self) -> None:
        """Write for ever; while the bus is away nobody could read it either."""
        while True:
            self._look.noted.clear()
            try:
                await self._bucket.put(self._look.cluster, self._look.value().model_dump_json().encode())
            except SlipwayError as error:
                self._outage_log.failed(error)
            else:
                self._outage_log.recovered()
            # What one round notes is written once.
            least = min(LEAST_PAUSE_SECONDS, self._look.every_seconds)
            await asyncio.sleep(least)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.noted.wait(), self._look.every_seconds - least)


def ranges(vmids: Iterable[int]) -> tuple[VmidRange, ...]:
    """Return VMIDs as ranges: a thousand consecutive ones are two numbers."""
    spans: list[VmidRange] = []
    for vmid in sorted(set(vmids)):
        if spans and spans[-1].last == vmid - 1:
            spans[-1] = VmidRange(first=spans[-1].first, last=vmid)
        else:
            spans.append(VmidRange(first=vmid, last=vmid))
    return tuple(spans)
