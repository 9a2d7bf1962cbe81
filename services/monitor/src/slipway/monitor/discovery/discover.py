"""Looks into a guest: one remote process asks all probes, inventory keeps what they found.

The probes' outputs are told apart by a marker that no guest can guess. Values of credentials are sealed to
inventory before they go anywhere; nothing but their names is answered or logged.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address

from slipway.contracts.configs import HostConfig, StoreConfig
from slipway.contracts.containers import DiscoveredCredential, StoreDiscovery
from slipway.contracts.guests import DiscoverGuest, Discovery
from slipway.monitor.access import Clusters
from slipway.monitor.discovery.probes import addresses, credentials, init, processes, sockets, units
from slipway.monitor.domain import services
from slipway.proxmox.host_config import read_config
from slipway.proxmox.hosts import Cluster
from slipway.runtime.bus.client import Bus
from slipway.runtime.secrets.sealing import Sealer

TIMEOUT = timedelta(seconds=13)
"""Leaves inventory its share of the query's 20 seconds."""
_PROBES: Mapping[str, str] = {
    "addresses": addresses.command(),
    "credentials": credentials.command(),
    "sockets": sockets.command(),
    "processes": processes.command(),
    "units": units.command(),
    "init": init.command(),
}
SCRIPT = "\n".join(
    (
        *(
            f'printf "\\n%s {name}\\n" "$1"\n{{ {command}; }} 2>/dev/null </dev/null'
            for name, command in _PROBES.items()
        ),
        "exit 0",
    )
)
"""All probes one after the other; `$1` is the marker."""


class Discoverer:
    """Discovers guests."""

    def __init__(self, bus: Bus, clusters: Clusters, sealer: Sealer) -> None:
        self._bus = bus
        self._clusters = clusters
        self._sealer = sealer

    async def discover(self, query: DiscoverGuest) -> Discovery:
        """Look into a guest, let inventory keep what was found, and tell it without secrets."""
        marker = secrets.token_hex(16)

        async def look(cluster: Cluster) -> str:
            pct = cluster.pct(query.node)
            return (await pct.script(query.vmid, SCRIPT, (marker,), timeout=TIMEOUT)).stdout

        config = await self.read_config(query)
        told = sections(await self._clusters.at(query.cluster, look), marker)
        found = self._read(query.container, told, config)
        await self._bus.ask(found)
        return Discovery(
            address=found.address,
            services=found.services,
            credentials=tuple(credential.name for credential in found.credentials),
            is_settled=found.is_settled,
        )

    async def read_config(self, query: DiscoverGuest) -> HostConfig | None:
        """Read a guest's config, let inventory keep it, and give it; None if there is no whole guest."""

        async def read(cluster: Cluster) -> HostConfig | None:
            return await read_config(cluster.api, query.node, query.vmid)

        config = await self._clusters.at(query.cluster, read)
        if config is not None:
            await self._bus.ask(StoreConfig(container=query.container, config=config))
        return config

    def _read(self, container: str, told: Mapping[str, str], config: HostConfig | None) -> StoreDiscovery:
        own = addresses.parse(told.get("addresses", ""))
        listening = services(
            sockets.parse(told.get("sockets", "")),
            units.parse(told.get("units", "")),
            processes.parse(told.get("processes", "")),
            own,
        )
        return StoreDiscovery(
            container=container,
            address=own[0] if own else None,
            services=listening,
            credentials=self._sealed(container, told.get("credentials", "")),
            is_settled=init.has_settled(told.get("init", "")) and not missing(config, own),
        )

    def _sealed(self, container: str, output: str) -> tuple[DiscoveredCredential, ...]:
        sealed = []
        for name, value in sorted(credentials.parse(output).items()):
            plain = name.lower()
            box = self._sealer.seal(value, to="inventory", owner=container, field=plain)
            sealed.append(DiscoveredCredential(name=plain, value=box))
        return tuple(sealed)


def missing(config: HostConfig | None, own: Sequence[str]) -> tuple[int, ...]:
    """Give the IP versions of which a guest should have an address and has none."""
    devices = [each for each in (config.networks if config is not None else ()) if not each.link_down]
    wanted = {4: [each.ip for each in devices], 6: [each.ip6 for each in devices]}
    has = {ip_address(address).version for address in own}
    return tuple(
        version
        for version, asked in wanted.items()
        if version not in has and any(ip not in {None, "manual"} for ip in asked)
    )


def sections(output: str, marker: str) -> Mapping[str, str]:
    """Cut the script's output into the probes' outputs."""
    _, *parts = output.split(f"{marker} ")
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}
