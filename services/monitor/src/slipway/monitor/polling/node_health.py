"""Check a cluster's health: its members, which nodes answer, and which privileges the access has.

Cheap questions, each with a deadline of its own, often enough to know a dead node before anything is placed
there. Slow questions are in `facts` and delay nothing here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta

from slipway.contracts.cluster_facts import NodeLook
from slipway.contracts.problems import SlipwayError
from slipway.monitor import diagnosis
from slipway.monitor.access import NEEDED_PRIVILEGES, ClusterConnections
from slipway.monitor.diagnosis import Diagnosis
from slipway.monitor.looks import Look
from slipway.monitor.outage_log import OutageLog
from slipway.proxmox.answers import ClusterMember
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.errors import NodeUnreachable

ANSWER_TIMEOUT = timedelta(seconds=3)
"""For each question; it costs milliseconds on a healthy node."""
ROUND_SECONDS = 8.0
NODES_AT_ONCE = 16

OnNodes = Callable[[Mapping[str, NodeLook]], Awaitable[None]]


class NodeHealthPoller:
    """Checks the health of one cluster; the caller holds the cluster's lease."""

    def __init__(
        self,
        cluster: str,
        clusters: ClusterConnections,
        look: Look,
        *,
        every: timedelta,
        node_names: Callable[[], Iterable[str]],
        on_nodes: OnNodes,
    ) -> None:
        """Create the poller; nothing is asked yet.

        Args:
            cluster: its id.
            clusters: the connections.
            look: where the results are noted.
            every: the pause between two rounds.
            node_names: returns all known nodes, so that those which left are noticed.
            on_nodes: receives the nodes' state after each round.
        """
        self._cluster = cluster
        self._clusters = clusters
        self._look = look
        self._every = every.total_seconds()
        self._node_names = node_names
        self._on_nodes = on_nodes
        self._outage_log = OutageLog("checking health", cluster=cluster)

    async def run(self) -> None:
        """Check for ever."""
        while True:
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await self.check()
            except (SlipwayError, TimeoutError) as error:
                self._outage_log.failed(error)
            else:
                self._outage_log.recovered()
            await asyncio.sleep(self._every)

    async def check(self) -> None:
        """Check once."""
        # The polls report why a cluster does not answer at all.
        members, missing = await self._clusters.query(self._cluster, self._ask)
        subject = self._clusters.subject(self._cluster)
        quorum = next((each.quorate for each in members if each.type == "cluster"), None)
        if missing:
            self._look.note_health(diagnosis.privileges(subject, f"it has no {', '.join(missing)}."))
        elif quorum is False:
            self._look.note_health(diagnosis.no_quorum("it has no quorum."))
        else:
            self._look.note_health(None)
        await self._on_nodes(self._look.nodes)

    async def _ask(self, api: ProxmoxApi) -> tuple[tuple[ClusterMember, ...], list[str]]:
        quick = api.within(ANSWER_TIMEOUT)
        members, held = await asyncio.gather(quick.cluster_status(), quick.permissions())
        nodes = {each.name: each for each in members if each.type == "node"}
        free = asyncio.Semaphore(NODES_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for member in nodes.values():
                group.create_task(self._check_node(quick, member, free))
        for name in set(self._node_names()) - nodes.keys():
            self._look.note_node(name, is_online=False, diagnosis=diagnosis.gone(name, nodes))
        self._look.drop_nodes({*nodes, *self._node_names()})
        return members, sorted(NEEDED_PRIVILEGES.difference(*held.values()))

    async def _check_node(self, api: ProxmoxApi, member: ClusterMember, free: asyncio.Semaphore) -> None:
        problem: Diagnosis | None = None
        is_online = member.online is not False
        if not is_online:
            problem = diagnosis.offline(member.name)
        elif not member.local:
            async with free:
                problem = await _answers(api, member.name)
        self._look.note_node(member.name, is_online=is_online, diagnosis=problem)


async def _answers(api: ProxmoxApi, node: str) -> Diagnosis | None:
    """Diagnose a node that answers nothing at all; a refusal is an answer."""
    try:
        await api.reach_node(node)
    except NodeUnreachable as error:
        return diagnosis.silent(node, error.message)
    except SlipwayError:
        return None
    return None
