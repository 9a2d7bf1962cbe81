"""Answers monitor's queries."""

from slipway.contracts.cluster_facts import ClusterFacts
from slipway.contracts.clusters import TestCluster
from slipway.contracts.dead_letters import HandleAgain
from slipway.contracts.guests import DiscoverGuest, Discovery
from slipway.contracts.message import Done
from slipway.monitor.connection_test.run import ConnectionTest
from slipway.monitor.discovery.discover import Discoverer
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus


class Handlers:
    """One method per subject."""

    def __init__(self, bus: Bus, connection_test: ConnectionTest, discoverer: Discoverer) -> None:
        self._bus = bus
        self._connection_test = connection_test
        self._discoverer = discoverer

    async def check_connection(self, query: TestCluster, _call: Call) -> ClusterFacts:
        """Test the connection to a cluster that is not saved yet."""
        return await self._connection_test.run(query)

    async def discover_guest(self, query: DiscoverGuest, _call: Call) -> Discovery:
        """Discover a guest now."""
        return await self._discoverer.discover(query)

    async def handle_again(self, query: HandleAgain, _call: Call) -> Done:
        """Handle a dead letter again."""
        await self._bus.handle_again(query.message)
        return Done()
