"""Check a cluster's health: its members, which nodes answer, and which privileges the access has.

Cheap questions, each with a deadline of its own, often enough to know a dead node before anything is placed
there; a lone node shows by the polls of its guests whether it lives, and is asked less often. Slow questions
are in `facts` and delay nothing here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from slipway.contracts.cluster_facts import NodeLook, OwnTask
from slipway.contracts.problems import SlipwayError
from slipway.monitor import diagnosis
from slipway.monitor.access import ClusterConnections, missing_privileges
from slipway.monitor.diagnosis import Diagnosis
from slipway.monitor.looks import Look
from slipway.monitor.outage_log import OutageLog
from slipway.monitor.polling.pace import Pace
from slipway.proxmox.answers import ClusterMember
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.errors import NodeUnreachable
from slipway.runtime.retry import Deadline

ANSWER_TIMEOUT = timedelta(seconds=3)
"""For each question; it costs milliseconds on a healthy node."""
ROUND_SECONDS = 8.0
OUTAGE_PAUSE_SECONDS = 4.0
"""The longest pause while something is wrong."""
PAUSES_OF_A_LONE_NODE = 3
PRIVILEGES_EVERY = timedelta(minutes=1)
"""How often the access is asked for its privileges while all is well."""
TASKS_EVERY = timedelta(minutes=1)
"""How often the cluster's tasks are read."""
NODES_AT_ONCE = 16


@dataclass(slots=True)
class NodeHealthPoller:
    """Checks the health of one cluster; the caller holds the cluster's lease."""

    cluster: str
    clusters: ClusterConnections
    look: Look
    pace: Pace
    due: asyncio.Event
    """Cuts the pause short."""
    node_names: Callable[[], Iterable[str]]
    """Returns all known nodes, so that those which left are noticed."""
    on_nodes: Callable[[Mapping[str, NodeLook]], Awaitable[None]]
    """Receives the nodes' state after each round."""
    _privileges: Deadline = field(default_factory=lambda: Deadline(-1.0), init=False)
    """Until then those that were missing when they were asked for last stay so."""
    _tasks: Deadline = field(default_factory=lambda: Deadline(-1.0), init=False)
    """Until then the list of tasks is not read."""
    _tasks_log: OutageLog = field(init=False)
    _missing: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._tasks_log = OutageLog("reading tasks", cluster=self.cluster)

    async def run(self) -> None:
        """Check for ever."""
        outage_log = OutageLog("checking health", cluster=self.cluster)
        loop = asyncio.get_running_loop()
        while True:
            self.due.clear()
            began = loop.time()
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await self.check()
            except (SlipwayError, TimeoutError) as error:
                outage_log.failed(error)
            else:
                outage_log.recovered()
            times = 1 if len(self.look.nodes) > 1 else PAUSES_OF_A_LONE_NODE
            longest = None if self.look.is_well else OUTAGE_PAUSE_SECONDS
            await self.pace.wait(began=began, times=times, longest=longest, due=self.due)

    async def check(self) -> None:
        """Check once."""
        # The polls report why a cluster does not answer at all.
        members, missing = await self.clusters.query(self.cluster, self._ask)
        subject = self.clusters.subject(self.cluster)
        quorum = next((each.quorate for each in members if each.type == "cluster"), None)
        if missing:
            self.look.note_health(diagnosis.privileges(subject, f"it has no {', '.join(missing)}."))
        elif quorum is False:
            self.look.note_health(diagnosis.no_quorum("it has no quorum."))
        else:
            self.look.note_health(None)
        await self.on_nodes(self.look.nodes)

    async def _ask(self, api: ProxmoxApi) -> tuple[tuple[ClusterMember, ...], list[str]]:
        quick = api.within(ANSWER_TIMEOUT)
        members, missing, _ = await asyncio.gather(
            quick.cluster_status(), self._missing_privileges(quick), self._note_tasks(quick)
        )
        nodes = {each.name: each for each in members if each.type == "node"}
        free = asyncio.Semaphore(NODES_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for member in nodes.values():
                group.create_task(self._check_node(quick, member, free))
        for name in set(self.node_names()) - nodes.keys():
            self.look.note_node(name, is_online=False, diagnosis=diagnosis.gone(name, nodes))
        self.look.drop_nodes({*nodes, *self.node_names()})
        return members, missing

    async def _missing_privileges(self, api: ProxmoxApi) -> list[str]:
        """Return the needed privileges that the access lacks; asked for again while there are some."""
        if self._missing or self._privileges.has_passed:
            held = await api.permissions()
            self._missing = missing_privileges(self.clusters.tier(self.cluster), held)
            self._privileges = Deadline(PRIVILEGES_EVERY.total_seconds())
        return self._missing

    async def _note_tasks(self, api: ProxmoxApi) -> None:
        """Note now and then what our own token has started; inventory knows what of it is ours."""
        token = self.clusters.own_token(self.cluster)
        if token is None or not self._tasks.has_passed:
            return
        try:
            tasks = await api.cluster_tasks()
        except SlipwayError as error:
            # It says nothing about the cluster's health; the next round asks again.
            self._tasks_log.failed(error)
            return
        self._tasks_log.recovered()
        self._tasks = Deadline(TASKS_EVERY.total_seconds())
        self.look.note_tasks(
            OwnTask(upid=each.upid, type=each.upid.type, vmid=int(each.upid.id))
            for each in tasks
            if each.upid.user == token and each.upid.type.startswith("vz") and each.upid.id.isdecimal()
        )

    async def _check_node(self, api: ProxmoxApi, member: ClusterMember, free: asyncio.Semaphore) -> None:
        problem: Diagnosis | None = None
        is_online = member.online is not False
        if not is_online:
            problem = diagnosis.offline(member.name)
        elif not member.local:
            async with free:
                problem = await _answers(api, member.name)
        self.look.note_node(member.name, is_online=is_online, diagnosis=problem)


async def _answers(api: ProxmoxApi, node: str) -> Diagnosis | None:
    """Diagnose a node that answers nothing at all; a refusal is an answer."""
    try:
        await api.reach_node(node)
    except NodeUnreachable as error:
        return diagnosis.silent(node, error.message)
    except SlipwayError:
        return None
    return None
