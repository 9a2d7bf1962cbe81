"""The side of inventory that monitor sees, as a real bus that answers for a lab; and monitor's pieces."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from slipway.contracts import clusters, containers
from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.clusters import Cluster, ClusterSecrets, ClusterSpec, SshNode
from slipway.contracts.configs import StoreConfig
from slipway.contracts.message import Done
from slipway.contracts.values import CONFIG_UNREAD, DISCOVERY_PENDING
from slipway.lab.node import Lab
from slipway.monitor.access import ClusterConnections
from slipway.monitor.discovery.discover import Discoverer
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus
from slipway.runtime.errors import ServiceUnavailable
from slipway.runtime.process import clock
from slipway.runtime.process.settings import ServiceSettings
from slipway.runtime.secrets.sealing import Sealer
from slipway.runtime.topology.identities import Identities

CLUSTER = "c1"


@dataclass
class Monitor:
    """Monitor's pieces on its own bus."""

    bus: Bus
    clusters: ClusterConnections
    sealer: Sealer
    discoverer: Discoverer


def spec_of(lab: Lab, **changes: Any) -> ClusterSpec:
    """Return how the lab is reached, with its least-privileged token and a confirmed host key."""
    nodes = {
        door.name: SshNode(address="127.0.0.1", port=door.port, host_key=door.host_key) for door in lab.doors
    }
    defaults: dict[str, Any] = {
        "name": "home",
        "endpoint": lab.endpoint,
        "token_id": lab.token_id,
        "tls_fingerprint": lab.fingerprint,
        "nodes": nodes,
    }
    return ClusterSpec(**(defaults | changes))


@dataclass
class Inventory:
    """The other side of monitor's questions, and what monitor sent to it."""

    lab: Lab
    identities: Identities
    cluster_ids: list[str] = field(default_factory=lambda: [CLUSTER])
    elsewhere: dict[str, ClusterSpec] = field(default_factory=dict)
    """ClusterConnections that are not reached as the lab is at first."""
    nodes: dict[str, NodeFacts] = field(default_factory=dict)
    """What it keeps of nodes."""
    pending: list[containers.Container] = field(default_factory=list)
    unread: list[containers.Container] = field(default_factory=list)
    configs: list[StoreConfig] = field(default_factory=list)
    stored: list[containers.StoreDiscovery] = field(default_factory=list)
    asked_for_access: int = 0
    refused_lists: int = 0
    """How many of the next questions for its clusters it refuses."""
    token_secret: str | None = None

    def sealer(self, service: str) -> Sealer:
        """Seal and open as a service does."""
        return Sealer(
            ServiceSettings(
                sealing_key_file=self.identities.sealing_file(service),
                sealing_public_file=self.identities.public_file,
            )
        )

    def secrets(self, owner: str, **changes: str) -> ClusterSecrets:
        """Seal the lab's secrets to monitor."""
        values = {"token_secret": self.token_secret or self.lab.token_secret}
        values |= {"ssh_private_key": self.lab.ssh_private_key} | changes
        seal = self.sealer("inventory").seal
        boxes = {
            name: seal(SecretStr(value), to="monitor", owner=owner, field=name)
            for name, value in values.items()
        }
        return ClusterSecrets(**boxes)

    def register(self, bus: Bus) -> None:
        """Answer what monitor asks."""
        bus.answer(clusters.ListClusters, self.list_clusters)
        bus.answer(clusters.GetClusterAccess, self.access)
        bus.answer(containers.ListContainers, self.list_containers)
        bus.answer(containers.StoreDiscovery, self.store)
        bus.answer(StoreConfig, self.store_config)

    async def list_clusters(self, _query: clusters.ListClusters, _call: Call) -> clusters.ClusterPage:
        """Return the clusters that monitor asks for."""
        if self.refused_lists:
            self.refused_lists -= 1
            raise ServiceUnavailable("The service is starting.")
        items = tuple(
            Cluster(
                id=each,
                name=each,
                endpoint=self.lab.endpoint,
                version="9",
                nodes=tuple(self.nodes.values()),
                created_at=clock.now(),
            )
            for each in self.cluster_ids
        )
        return clusters.ClusterPage(items=items)

    async def access(self, query: clusters.GetClusterAccess, _call: Call) -> clusters.ClusterAccess:
        """Give the lab's secrets to monitor."""
        assert query.seal_to == "monitor"
        self.asked_for_access += 1
        return clusters.ClusterAccess(
            id=query.cluster,
            spec=self.elsewhere.get(query.cluster) or spec_of(self.lab),
            secrets=self.secrets(query.cluster),
        )

    async def list_containers(
        self, query: containers.ListContainers, _call: Call
    ) -> containers.ContainerPage:
        """Return those whose discovery is owed."""
        if query.warning == CONFIG_UNREAD:
            return containers.ContainerPage(items=tuple(self.unread))
        assert query.warning == DISCOVERY_PENDING
        behind = [each for each in self.pending if query.cursor is None or each.id > query.cursor]
        page = tuple(behind[: query.limit])
        return containers.ContainerPage(items=page, next=page[-1].id if len(behind) > len(page) else None)

    async def store_config(self, query: StoreConfig, _call: Call) -> Done:
        """Keep what was read; it is owed no more."""
        self.configs.append(query)
        self.unread = [each for each in self.unread if each.id != query.container]
        return Done()

    async def store(self, query: containers.StoreDiscovery, _call: Call) -> containers.StoredDiscovery:
        """Keep what was found; nothing is owed any more."""
        self.stored.append(query)
        self.pending = [each for each in self.pending if each.id != query.container]
        return containers.StoredDiscovery(services=len(query.services), credentials=len(query.credentials))
