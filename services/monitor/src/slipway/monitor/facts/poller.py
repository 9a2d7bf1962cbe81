"""Read the nodes of one cluster again and again; publish facts that have changed, and others now and then."""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from slipway.contracts.cluster_facts import NodeFacts, NodeLook, NodeObserved
from slipway.contracts.problems import SlipwayError
from slipway.contracts.values import Outage
from slipway.monitor import diagnosis
from slipway.monitor.access import ClusterConnections
from slipway.monitor.facts import reader
from slipway.monitor.facts.diff import is_worth_publishing, with_last_known
from slipway.monitor.facts.lasting import Answered, LastingFacts
from slipway.monitor.looks import Look
from slipway.monitor.outage_log import OutageLog
from slipway.proxmox.hosts import Cluster
from slipway.runtime.bus.client import Bus
from slipway.runtime.process import clock

LOOK_SECONDS = 60.0
"""For all questions of one round; each of them ends sooner by itself."""
LEAST_PAUSE_SECONDS = 1.0
GONE_SHOWN = timedelta(seconds=5)
"""How long a node that has left is shown at least: inventory's list of nodes may be older than it."""
INCOMPLETE_PAUSE_SECONDS = 15.0
"""Until what was not answered is asked for again."""
_WITHOUT_SHELL = (
    "Slipway has no SSH access to this node: its host key is not confirmed, or no login is known."
)


@dataclass(slots=True)
class NodeFactsPoller:
    """Publishes the facts of one cluster's nodes; the caller holds the cluster's lease."""

    cluster: str
    bus: Bus
    clusters: ClusterConnections
    look: Look
    """Has the state of the nodes; what is unknown of them is noted there."""
    every: timedelta
    """The pause between two rounds."""
    due: asyncio.Event
    """Cuts the pause short."""
    stored: Callable[[], Iterable[NodeFacts]]
    """Returns the facts that inventory has stored, to start from."""
    outage_log: OutageLog = field(init=False)
    published: dict[str, NodeFacts] = field(default_factory=dict, init=False)
    _is_complete: bool = field(default=False, init=False)
    """Whether the last round left nothing unanswered."""
    _lasting: LastingFacts = field(default_factory=LastingFacts, init=False)

    def __post_init__(self) -> None:
        self.outage_log = OutageLog("reading facts", cluster=self.cluster)

    async def run(self) -> None:
        """Poll for ever: at the interval, sooner while something is unknown, at once when facts are due."""
        while True:
            self.due.clear()
            self._is_complete = False
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.poll()
            except (SlipwayError, TimeoutError) as error:
                self.outage_log.failed(error)
            every = self.every.total_seconds()
            await asyncio.sleep(min(LEAST_PAUSE_SECONDS, every))
            with contextlib.suppress(TimeoutError):
                pause = every if self._is_complete else min(every, INCOMPLETE_PAUSE_SECONDS)
                await asyncio.wait_for(self.due.wait(), pause)

    def refresh(self) -> None:
        """Read everything anew at once, also what seldom changes."""
        self._lasting.forget()
        self.due.set()

    async def poll(self) -> None:
        """Read all nodes once and publish what has changed."""
        lasting = self._lasting.fresh()
        readings = await self.clusters.run(self.cluster, partial(_read, lasting=lasting))
        for reading in readings:
            self._lasting.note(reading.facts)
            await self._take(reading)
        is_usable = all(reading.facts.ssh_problem is None for reading in readings)
        self._is_complete = is_usable and not any(reading.unanswered for reading in readings)
        if not is_usable:
            # Somebody may confirm a host key or repair a login at any time.
            await self.clusters.renew(self.cluster)
        problem = next((reading.problem for reading in readings if reading.problem is not None), None)
        if problem is None:
            self.outage_log.recovered()
        else:
            self.outage_log.failed(problem)

    def node_names(self) -> set[str]:
        """Return the names of all known nodes; one that is gone shortly, or while inventory has it."""
        published = {name for name, each in self.published.items() if not _is_long_gone(each.outage)}
        return published | {each.node for each in self.stored()}

    async def follow(self, looks: Mapping[str, NodeLook]) -> None:
        """Publish at once the nodes whose state has changed; their other facts stay."""
        for name, look in looks.items():
            facts = self._last(name)
            if facts is None:
                self.due.set()
            elif _is_gone(look.outage) or _state(facts) != _state(look):
                await self._publish(facts.model_copy(update={"observed_at": clock.now()}))
        self.published = {name: each for name, each in self.published.items() if name in looks}

    async def _take(self, reading: reader.NodeReading) -> None:
        facts, errors = reading.facts, reading.unanswered
        problem = diagnosis.unanswered(facts.node, errors, facts.ssh_problem) if facts.is_online else None
        self.look.note_facts(
            facts.node, is_online=facts.is_online, parts_at=facts.parts_at, diagnosis=problem
        )
        await self._publish(with_last_known(facts, self._last(facts.node)))

    def _last(self, node: str) -> NodeFacts | None:
        return self.published.get(node) or next((each for each in self.stored() if each.node == node), None)

    async def _publish(self, facts: NodeFacts) -> None:
        look = self.look.nodes.get(facts.node, NodeLook(node=facts.node, is_online=facts.is_online))
        facts = facts.model_copy(update={"is_online": look.is_online, "outage": look.outage})
        last = self.published.get(facts.node)
        if last is not None and not is_worth_publishing(last, facts):
            return
        node = f"{self.cluster}-{facts.node.lower()}"
        digest = hashlib.sha256(facts.model_dump_json().encode()).hexdigest()[:16]
        await self.bus.publish(
            NodeObserved(id=node, cluster=self.cluster, facts=facts), message_id=f"{node}:observed:{digest}"
        )
        self.published[facts.node] = facts


def _is_long_gone(outage: Outage | None) -> bool:
    return _is_gone(outage) and outage is not None and clock.now() - outage.since > GONE_SHOWN


def _is_gone(outage: Outage | None) -> bool:
    return outage is not None and outage.code == diagnosis.NODE_GONE_CODE


def _state(node: NodeFacts | NodeLook) -> tuple[object, ...]:
    outage = node.outage
    return node.is_online, outage and (outage.code, outage.since)


async def _read(cluster: Cluster, lasting: Mapping[str, Answered]) -> tuple[reader.NodeReading, ...]:
    shells = {name: cluster.shell(name) for name in cluster.access.nodes}
    without_shell = _WITHOUT_SHELL if cluster.access.tier.uses_ssh else None
    return await reader.read(cluster.api, shells, without_shell=without_shell, lasting=lasting)
