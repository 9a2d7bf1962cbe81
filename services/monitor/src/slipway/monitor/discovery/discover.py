"""Discover a guest: one remote process runs all probes, inventory stores their results.

A marker that no guest can guess separates the probes' outputs. Values of credentials are sealed to inventory
before they leave this process; only their names are answered or logged.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address

from slipway.contracts.configs import HostConfig, StoreConfig
from slipway.contracts.containers import DiscoveredCredential, DiscoveredService, StoreDiscovery
from slipway.contracts.guests import DiscoverGuest, Discovery
from slipway.contracts.problems import SlipwayError
from slipway.monitor.access import ClusterConnections
from slipway.monitor.discovery.ahead import SessionsAhead
from slipway.monitor.discovery.probes import addresses, credentials, init, openrc, processes, sockets, systemd
from slipway.monitor.discovery.services import services
from slipway.proxmox.host_config import read_config
from slipway.proxmox.hosts import Cluster
from slipway.proxmox.pct import Pct
from slipway.runtime.bus.client import Bus
from slipway.runtime.secrets.sealing import Sealer

TIMEOUT = timedelta(seconds=13)
"""Leaves inventory its share of the query's 20 seconds."""
OTHERS_WAIT = timedelta(seconds=20)
"""From a guest's start, for other addresses of one that has some: there may be no router, or no DHCP server.

A router is asked three times, 4 s apart (RFC 4861, 10); a job that has started a guest waits as long."""
PROBE_BYTES = 500_000
"""Of the output of one probe at most; all of them fit into what a command's output may be."""
_PROBES: Mapping[str, str] = {
    "init": init.COMMAND,
    "addresses": addresses.COMMAND,
    "credentials": credentials.COMMAND,
    "sockets": sockets.COMMAND,
    "processes": processes.COMMAND,
    "systemd": systemd.COMMAND,
    "openrc": openrc.COMMAND,
}
SCRIPT = "\n".join(
    (
        *(
            f'printf "\\n%s {name}\\n" "$1"\n{{ {command}; }} 2>/dev/null </dev/null | head -c {PROBE_BYTES}'
            for name, command in _PROBES.items()
        ),
        "exit 0",
    )
)
"""All probes one after the other, each cut at its bound; `$1` is the marker.

The init's comes first: what the others see before the end of a boot is not the whole.
"""


class Discoverer:
    """Discovers guests."""

    def __init__(self, bus: Bus, clusters: ClusterConnections, sealer: Sealer) -> None:
        self._bus = bus
        self._clusters = clusters
        self._sealer = sealer
        self._ahead = SessionsAhead(clusters)

    async def discover(self, query: DiscoverGuest) -> Discovery:
        """Run the probes in a guest, store the result in inventory and return it without secrets."""
        if query.is_ahead:
            self._ahead.open(query)
            return Discovery(is_settled=False)
        marker = secrets.token_hex(16)

        async def look(cluster: Cluster) -> str:
            session = await self._ahead.take(query.container)
            try:
                pct = Pct(cluster.shell(query.node), session)
                return (await pct.script(query.vmid, SCRIPT, (marker,), timeout=TIMEOUT)).stdout
            finally:
                if session is not None:
                    await session.aclose()

        config = await self._config(query)
        try:
            outputs = sections(await self._clusters.run(query.cluster, look), marker)
        except SlipwayError:
            await self._store_config(query, config)
            raise
        discovery = self._read(query.container, outputs, config)
        await self._bus.ask(discovery)
        return Discovery(
            address=discovery.address,
            services=discovery.services,
            credentials=tuple(credential.name for credential in discovery.credentials),
            is_settled=discovery.is_settled,
        )

    async def aclose(self) -> None:
        """Close the sessions that wait for a discovery."""
        await self._ahead.aclose()

    async def read_config(self, query: DiscoverGuest) -> HostConfig | None:
        """Read a guest's config, store it in inventory and return it; None if the guest is not complete."""
        config = await self._config(query)
        await self._store_config(query, config)
        return config

    async def _config(self, query: DiscoverGuest) -> HostConfig | None:
        async def read(cluster: Cluster) -> HostConfig | None:
            return await read_config(cluster.api, query.node, query.vmid)

        return await self._clusters.run(query.cluster, read)

    async def _store_config(self, query: DiscoverGuest, config: HostConfig | None) -> None:
        if config is not None:
            await self._bus.ask(StoreConfig(container=query.container, config=config))

    def _read(self, container: str, outputs: Mapping[str, str], config: HostConfig | None) -> StoreDiscovery:
        own_addresses = addresses.parse(outputs.get("addresses", ""))
        return StoreDiscovery(
            container=container,
            address=own_addresses[0] if own_addresses else None,
            services=read_services(outputs, own_addresses),
            credentials=self._sealed(container, outputs.get("credentials", "")),
            is_settled=init.has_settled(outputs.get("init", ""))
            and not awaits_address(config, own_addresses),
            has_addresses=config is not None and not missing_families(config, own_addresses),
            config=config,
        )

    def _sealed(self, container: str, output: str) -> tuple[DiscoveredCredential, ...]:
        sealed = []
        for name, value in sorted(credentials.parse(output).items()):
            box = self._sealer.seal(value, to="inventory", owner=container, field=name)
            sealed.append(DiscoveredCredential(name=name, value=box))
        return tuple(sealed)


def read_services(outputs: Mapping[str, str], own_addresses: Sequence[str]) -> tuple[DiscoveredService, ...]:
    """Return the services that the outputs of the probes show."""
    units = systemd.parse(outputs.get("systemd", ""))
    return services(
        sockets.parse(outputs.get("sockets", "")),
        units if units.names else openrc.parse(outputs.get("openrc", "")),
        processes.parse(outputs.get("processes", "")),
        own_addresses,
    )


def awaits_address(config: HostConfig | None, own_addresses: Sequence[str]) -> bool:
    """Return whether a guest is looked at again for an address that it should have."""
    if config is None or not missing_families(config, own_addresses):
        return False
    is_new = config.started_at is None or config.read_at - config.started_at < OTHERS_WAIT
    return is_new or not own_addresses


def missing_families(config: HostConfig | None, own_addresses: Sequence[str]) -> tuple[int, ...]:
    """Return the IP versions of which a guest should have an address and has none."""
    devices = [each for each in (config.networks if config is not None else ()) if not each.link_down]
    configured = {4: [each.ip for each in devices], 6: [each.ip6 for each in devices]}
    has = {ip_address(address).version for address in own_addresses}
    return tuple(
        version
        for version, settings in configured.items()
        if version not in has and any(ip not in {None, "manual"} for ip in settings)
    )


def sections(output: str, marker: str) -> Mapping[str, str]:
    """Split the script's output into the outputs of the probes."""
    _, *parts = f"\n{output}".split(f"\n{marker} ")
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}
