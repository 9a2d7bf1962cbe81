"""Access to clusters: asked from inventory when needed, stored in memory, asked again when refused."""

from nats.aio.msg import Msg

from slipway.contracts import clusters as wire
from slipway.contracts.cluster_removal import ClusterRemoved
from slipway.contracts.cluster_settings import ClusterLimits
from slipway.contracts.message import Id
from slipway.proxmox.access import ClusterAccess, api_access, node_accesses
from slipway.proxmox.hosts import Cluster, Hosts
from slipway.runtime.bus.client import Bus
from slipway.runtime.secrets.sealing import Sealer
from slipway.runtime.topology.declared import LIVE_PREFIX

SERVICE = "provisioner"


class Access:
    """Connections to clusters."""

    def __init__(self, bus: Bus, sealer: Sealer, hosts: Hosts) -> None:
        self._bus = bus
        self._sealer = sealer
        self._hosts = hosts

    async def open(self, cluster: Id) -> Cluster:
        """Open the connections to a cluster, by the access that inventory stores now."""
        access = await self._ask(cluster)
        secrets = {
            name: self._sealer.open(sealed, owner=access.id, field=name)
            for name in wire.ClusterSecrets.model_fields
            if (sealed := getattr(access.secrets, name)) is not None
        }
        opened = ClusterAccess(
            api=api_access(access.spec, secrets, access.members),
            nodes=node_accesses(access.spec, secrets, addresses={}),
            tier=access.spec.tier,
        )
        return self._hosts.open(cluster, opened)

    async def limits(self, cluster: Id) -> ClusterLimits:
        """Return what containers of a cluster may use of their hosts, as inventory stores it now."""
        return (await self._ask(cluster)).limits

    async def _ask(self, cluster: Id) -> wire.ClusterAccess:
        return await self._bus.ask(wire.GetClusterAccess(cluster=cluster, seal_to=SERVICE))

    async def listen(self) -> None:
        """Close the connections to each cluster that is removed from now on, in every replica."""
        subject = f"{LIVE_PREFIX}{ClusterRemoved.subject_filter()}"
        await self._bus.connection.subscribe(subject, cb=self._removed)

    async def _removed(self, message: Msg) -> None:
        """Idempotent: a second close does nothing."""
        await self._hosts.forget(ClusterRemoved.model_validate_json(message.data).id)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._hosts.aclose()
