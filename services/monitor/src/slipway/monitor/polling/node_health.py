"""Feels a cluster's pulse: who is in it, who answers, and what the access may still do.

Cheap questions, each with a deadline of its own, at a pace at which a dead node is known before anything is
placed there. What takes long is asked elsewhere (`facts`), and keeps nothing here waiting.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta

from slipway.contracts.clusters import NodeLook
from slipway.contracts.problems import SlipwayError
from slipway.monitor import diagnosis
from slipway.monitor.access import Clusters
from slipway.monitor.connection_test.run import NEEDED
from slipway.monitor.diagnosis import Diagnosis
from slipway.monitor.looks import Look
from slipway.monitor.outage_log import OutageLog
from slipway.proxmox.answers import ClusterMember
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.errors import NodeUnreachable

ANSWER = timedelta(seconds=3)
"""How long each question may take: they cost milliseconds on a node that is well."""
ROUND_SECONDS = 8.0
NODES_AT_ONCE = 16

Tell = Callable[[Mapping[str, NodeLook]], Awaitable[None]]


class Pulse:
    """Feels one cluster's pulse; whoever runs it holds the cluster's lease."""

    def __init__(
        self,
        cluster: str,
        clusters: Clusters,
        look: Look,
        *,
        every: timedelta,
        known: Callable[[], Iterable[str]],
        tell: Tell,
    ) -> None:
        """Ask nothing yet.

        Args:
            cluster: its id.
            clusters: how it is reached.
            look: what is found goes there.
            every: the pause between two rounds.
            known: names all nodes that Slipway knows, so that those which left are seen.
            tell: gets the nodes' state after each round.
        """
        self._cluster = cluster
        self._clusters = clusters
        self._look = look
        self._every = every.total_seconds()
        self._known = known
        self._tell = tell
        self._outage_log = OutageLog("feeling the pulse", cluster=cluster)

    async def run(self) -> None:
        """Feel for ever."""
        while True:
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await self.feel()
            except (SlipwayError, TimeoutError) as error:
                self._outage_log.met(error)
            else:
                self._outage_log.over()
            await asyncio.sleep(self._every)

    async def feel(self) -> None:
        """Ask once."""
        # Why nothing is answered at all the polls say.
        members, missing = await self._clusters.quickly(self._cluster, self._ask)
        subject = self._clusters.subject(self._cluster)
        quorum = next((each.quorate for each in members if each.type == "cluster"), None)
        if missing:
            self._look.pulsed(diagnosis.privileges(subject, f"it has no {', '.join(missing)}."))
        elif quorum is False:
            self._look.pulsed(diagnosis.no_quorum("it has no quorum."))
        else:
            self._look.pulsed(None)
        await self._tell(self._look.nodes)

    async def _ask(self, api: ProxmoxApi) -> tuple[tuple[ClusterMember, ...], list[str]]:
        quick = api.within(ANSWER)
        members, held = await asyncio.gather(quick.cluster_status(), quick.permissions())
        nodes = {each.name: each for each in members if each.type == "node"}
        free = asyncio.Semaphore(NODES_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for member in nodes.values():
                group.create_task(self._feel(quick, member, free))
        for name in set(self._known()) - nodes.keys():
            self._look.node_lives(name, is_online=False, found=diagnosis.gone(name, nodes))
        self._look.drop_nodes({*nodes, *self._known()})
        return members, sorted(NEEDED.difference(*held.values()))

    async def _feel(self, api: ProxmoxApi, member: ClusterMember, free: asyncio.Semaphore) -> None:
        found: Diagnosis | None = None
        is_online = member.online is not False
        if not is_online:
            found = diagnosis.offline(member.name)
        elif not member.local:
            async with free:
                found = await _answers(api, member.name)
        self._look.node_lives(member.name, is_online=is_online, found=found)


async def _answers(api: ProxmoxApi, node: str) -> Diagnosis | None:
    """Whether a node answers anything at all; a refusal is an answer too."""
    try:
        await api.reach_node(node)
    except NodeUnreachable as error:
        return diagnosis.silent(node, error.message)
    except SlipwayError:
        return None
    return None
