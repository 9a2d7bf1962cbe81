"""Watch every cluster that inventory lists, each on one replica at a time."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.cluster_removal import ClusterRemoved
from slipway.contracts.clusters import ClusterAdded, ClusterChanged, ListClusters
from slipway.contracts.form_facts import FactsRequested
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunRecord
from slipway.contracts.problems import SlipwayError, Unavailable
from slipway.monitor import metrics
from slipway.monitor.access import ClusterConnections
from slipway.monitor.facts.poller import NodeFactsPoller
from slipway.monitor.looks import Look, LookWriter
from slipway.monitor.outage_log import OutageLog
from slipway.monitor.polling.guests import GuestPoller, OnChanged, forget_guests
from slipway.monitor.polling.node_health import NodeHealthPoller
from slipway.monitor.polling.pace import Pace
from slipway.monitor.settings import MonitorSettings
from slipway.runtime.bus.client import Bus, Delivery
from slipway.runtime.bus.kv import Bucket
from slipway.runtime.bus.locks import Lease
from slipway.runtime.errors import LeaseHeld
from slipway.runtime.process.ending import end
from slipway.runtime.process.logs import get_logger
from slipway.runtime.retry import Backoff
from slipway.runtime.topology.declared import LIVE_PREFIX, LOOKS

log = get_logger()

_DOWNLOAD = JobKind.OS_TEMPLATE_DOWNLOAD.encode()
LEASE = timedelta(seconds=9)
TAKE_AGAIN_SECONDS = 3.0
LONGEST_PAUSE_SECONDS = 8.0
"""After unexpected errors: a host may answer nonsense for long, and be right again at any time."""
LIST_AGAIN_SECONDS = 30.0
"""The net under the events that say which clusters there are."""
FAILED_AGAIN_SECONDS = 2.0
"""While inventory does not say which there are."""


class ClusterWatcher:
    """Watches all clusters that inventory lists."""

    def __init__(
        self,
        bus: Bus,
        clusters: ClusterConnections,
        settings: MonitorSettings,
        on_changed: OnChanged = lambda _cluster, _vmid: None,
    ) -> None:
        self._bus = bus
        self._clusters = clusters
        self._settings = settings
        self.pace = Pace(settings)
        """How often each cluster is asked."""
        self._on_changed = on_changed
        self._changed = asyncio.Event()
        self._due: dict[str, asyncio.Event] = {}
        self._facts: dict[str, NodeFactsPoller] = {}
        self._stored: dict[str, tuple[NodeFacts, ...]] = {}
        """The nodes' facts that inventory has stored, by cluster."""
        self._outage_log = OutageLog("listing clusters")

    async def cluster_changed(
        self, event: ClusterAdded | ClusterChanged | ClusterRemoved, _delivery: Delivery
    ) -> None:
        """Watch a new cluster, use another access, or stop watching at once.

        Idempotent: the list of inventory decides, and the access is only asked for once more.
        """
        self._clusters.forget(event.id)
        if event.id in self._due:
            self._due[event.id].set()
        self._changed.set()

    async def listen(self) -> None:
        """Hear what has facts read at once, as each replica does: ended downloads, and requests."""
        subscribe = self._bus.connection.subscribe
        await subscribe(f"{LIVE_PREFIX}{RunRecord.subject_filter()}", cb=self._recorded)
        await subscribe(f"{LIVE_PREFIX}{FactsRequested.subject_filter()}", cb=self._requested)

    async def run(self) -> None:
        """Watch for ever; an outage of one cluster delays no other."""
        async with asyncio.TaskGroup() as group:
            watching: dict[str, asyncio.Task[None]] = {}
            try:
                while True:
                    self._changed.clear()
                    answer = await self._listed()
                    listed = watching.keys() if answer is None else answer
                    for cluster in listed - watching.keys():
                        watching[cluster] = group.create_task(self._watch(cluster), name=f"watch {cluster}")
                    for cluster in watching.keys() - listed:
                        await end(watching.pop(cluster))
                        await self._drop(cluster)
                    pause = FAILED_AGAIN_SECONDS if answer is None else LIST_AGAIN_SECONDS
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._changed.wait()
            finally:
                # The group itself would cancel them only once.
                await end(*watching.values())

    async def _recorded(self, message: Any) -> None:
        """Read a cluster's facts at once when a download has ended."""
        if _DOWNLOAD not in message.data:
            return
        record = RunRecord.model_validate_json(message.data)
        due = self._due.get(record.target.cluster)
        if record.kind is JobKind.OS_TEMPLATE_DOWNLOAD and record.state.is_terminal and due is not None:
            due.set()

    async def _requested(self, message: Any) -> None:
        """Read all facts of a cluster anew, if this replica watches it."""
        poller = self._facts.get(FactsRequested.model_validate_json(message.data).id)
        if poller is not None:
            poller.refresh()

    async def _drop(self, cluster: str) -> None:
        """Forget a cluster; if it is added again everything there is new."""
        await self._clusters.drop(cluster)
        self._stored.pop(cluster, None)
        try:
            await forget_guests(self._bus, cluster)
            await Bucket(self._bus, LOOKS).delete(cluster)
        except SlipwayError as error:
            log.warning("state of removed cluster not deleted", cluster=cluster, reason=error.message)

    async def _listed(self) -> set[str] | None:
        """Return all clusters; None while inventory is away."""
        clusters: set[str] = set()
        cursor: str | None = None
        try:
            while True:
                page = await self._bus.ask(ListClusters(limit=100, cursor=cursor))
                clusters |= {cluster.id for cluster in page.items}
                self._stored |= {cluster.id: cluster.nodes for cluster in page.items}
                cursor = page.next
                if cursor is None:
                    break
        except SlipwayError as error:
            self._outage_log.failed(error)
            return None
        self._outage_log.recovered()
        return clusters

    async def _watch(self, cluster: str) -> None:
        """Watch one cluster for ever: an error that leaves here would end the watch of all."""
        taking, watching = (
            OutageLog("taking the lease", cluster=cluster),
            OutageLog("watching", cluster=cluster),
        )
        backoff = Backoff(first_seconds=TAKE_AGAIN_SECONDS, longest_seconds=LONGEST_PAUSE_SECONDS)
        while True:
            try:
                async with Lease(self._bus, f"monitor-{cluster}", LEASE) as lease:
                    taking.recovered()
                    await self._hold(cluster, lease)
            except LeaseHeld:
                taking.recovered()
            except Unavailable as error:
                taking.failed(error)
            except Exception as error:  # noqa: BLE001 - the outermost loop of this cluster
                watching.crashed(error)
                backoff.advance()
            else:
                watching.recovered()
                backoff.reset()
            finally:
                metrics.forget(cluster)
            await asyncio.sleep(backoff.seconds)

    async def _hold(self, cluster: str, lease: Lease) -> None:
        """Run all pollers until the lease is lost."""
        due = self._due[cluster] = asyncio.Event()
        look = Look(cluster, every_seconds=self.pace.idle_seconds)
        writer = LookWriter(self._bus, look)
        try:
            await writer.resume()
            async with asyncio.TaskGroup() as group:
                runs = (writer.run, *self._pollers(cluster, look, due))
                working = [group.create_task(run()) for run in runs]
                try:
                    await lease.lost.wait()
                finally:
                    await end(*working)
        finally:
            self._due.pop(cluster, None)
            self._facts.pop(cluster, None)

    def _pollers(
        self, cluster: str, look: Look, due: asyncio.Event
    ) -> tuple[Callable[[], Coroutine[None, None, None]], ...]:
        """Return the pollers of a cluster: its guests, its nodes' facts and their health."""
        settings, bus, clusters = self._settings, self._bus, self._clusters
        poller = GuestPoller(
            cluster,
            bus,
            clusters,
            look,
            pace=self.pace,
            facts_due=due,
            health_due=(health_due := asyncio.Event()),
            on_changed=self._on_changed,
        )
        nodes = self._facts[cluster] = NodeFactsPoller(
            cluster,
            bus,
            clusters,
            look,
            every=settings.facts_interval,
            due=due,
            stored=lambda: self._stored.get(cluster, ()),
        )
        health = NodeHealthPoller(
            cluster,
            clusters,
            look,
            pace=self.pace,
            due=health_due,
            node_names=nodes.node_names,
            on_nodes=nodes.follow,
        )
        return poller.run, nodes.run, health.run
