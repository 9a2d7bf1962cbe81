"""How clusters are reached: asked from inventory when needed, kept in memory, asked again when refused."""

from pydantic import SecretStr

from slipway.contracts import clusters as wire
from slipway.contracts.message import Id
from slipway.proxmox.access import ApiAccess, ClusterAccess, NodeAccess
from slipway.proxmox.hosts import Cluster, Hosts
from slipway.runtime.bus import Bus
from slipway.runtime.sealing import Sealer

SERVICE = "provisioner"


class Access:
    """Connections to clusters."""

    def __init__(self, bus: Bus, sealer: Sealer, hosts: Hosts) -> None:
        self._bus = bus
        self._sealer = sealer
        self._hosts = hosts

    async def open(self, cluster: Id) -> Cluster:
        """Give the connections to a cluster, by the access that inventory knows now."""
        told = await self._bus.ask(wire.GetClusterAccess(cluster=cluster, seal_to=SERVICE))
        secrets = {
            name: self._sealer.open(sealed, owner=told.id, field=name)
            for name in wire.ClusterSecrets.model_fields
            if (sealed := getattr(told.secrets, name)) is not None
        }
        return self._hosts.open(cluster, _access(told.spec, secrets))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._hosts.aclose()


def _access(spec: wire.ClusterSpec, secrets: dict[str, SecretStr]) -> ClusterAccess:
    api = ApiAccess(
        endpoint=spec.endpoint,
        token_id=spec.token_id,
        token_secret=secrets.get("token_secret"),
        username=spec.username,
        password=secrets.get("password"),
        tls_fingerprint=spec.tls_fingerprint,
        ca=spec.ca,
    )
    nodes = {
        name: NodeAccess(
            name=name,
            address=node.address,
            port=node.port or spec.ssh_port,
            username=spec.ssh_username,
            password=secrets.get("ssh_password"),
            private_key=secrets.get("ssh_private_key"),
            host_key=node.host_key,
        )
        for name, node in spec.nodes.items()
        if node.address is not None and node.host_key is not None
    }
    return ClusterAccess(api=api, nodes=nodes)
