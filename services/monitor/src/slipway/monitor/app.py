"""Assembles monitor: the only module that knows all the others."""

from slipway.contracts.cluster_removal import ClusterRemoved
from slipway.contracts.clusters import ClusterAdded, ClusterChanged, TestCluster
from slipway.contracts.connections import ProbeNode
from slipway.contracts.dead_letters import HandleAgain
from slipway.contracts.guests import DiscoverGuest
from slipway.contracts.message import Done
from slipway.monitor.access import ClusterConnections
from slipway.monitor.connection_test.probe import probe
from slipway.monitor.connection_test.run import ConnectionTest
from slipway.monitor.discovery.discover import Discoverer
from slipway.monitor.discovery.pending import PendingScan
from slipway.monitor.metrics import poll_age, poll_seconds
from slipway.monitor.polling.watcher import ClusterWatcher
from slipway.monitor.settings import MonitorSettings
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus
from slipway.runtime.process.metrics import show
from slipway.runtime.process.service import Service
from slipway.runtime.process.unreadable import UnreadableLog
from slipway.runtime.secrets.sealing import Sealer


def build() -> Service:
    """Build the service from its settings; opens nothing yet."""
    settings = MonitorSettings()
    bus = Bus(settings, service="monitor")
    sealer = Sealer(settings)
    unreadable = UnreadableLog()
    clusters = ClusterConnections(bus, sealer, record=settings.proxmox_record, unreadable=unreadable.note)
    discoverer = Discoverer(bus, clusters, sealer)
    connection_test = ConnectionTest(sealer, record=settings.proxmox_record, unreadable=unreadable.note)
    pending = PendingScan(bus, discoverer, every=settings.pending_interval)
    fleet = ClusterWatcher(bus, clusters, settings, pending.look_soon)

    async def handle_again(query: HandleAgain, _call: Call) -> Done:
        await bus.handle_again(query.message)
        return Done()

    bus.answer(TestCluster, lambda query, _call: connection_test.run(query))
    bus.answer(ProbeNode, probe)
    bus.answer(DiscoverGuest, lambda query, _call: discoverer.discover(query))
    bus.answer(HandleAgain, handle_again)
    bus.consume(ClusterAdded, fleet.cluster_changed, durable="monitor-clusters")
    bus.consume(ClusterChanged, fleet.cluster_changed, durable="monitor-clusters")
    bus.consume(ClusterRemoved, fleet.cluster_changed, durable="monitor-clusters")
    show(poll_seconds, poll_age)
    service = Service("monitor", settings, bus)
    service.background("clusters", fleet.run)
    service.background("pace", lambda: fleet.pace.listen(bus))
    service.background("downloads", fleet.listen)
    service.background("pending", pending.run)
    service.on_stop(discoverer.aclose)
    service.on_stop(clusters.aclose)
    return service
