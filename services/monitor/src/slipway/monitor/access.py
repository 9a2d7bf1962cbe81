"""Clusters as monitor reaches them: access asked from inventory, opened here, kept in memory only.

Access that a host no longer accepts is asked for once more before the error counts: it may have been changed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from slipway.contracts.clusters import ClusterSecrets, GetClusterAccess
from slipway.contracts.problems import NotFound
from slipway.proxmox.access import ApiAccess, ClusterAccess, api_access, node_accesses
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.errors import AccessRefused, CertificateMismatch, HostKeyMismatch
from slipway.proxmox.hosts import Cluster, Hosts
from slipway.proxmox.reading import NoteUnreadable, ignore_unreadable
from slipway.runtime.bus import Bus
from slipway.runtime.sealing import Sealer

ResultT = TypeVar("ResultT")
Secrets = Mapping[str, SecretStr]
"""By the names of `ClusterSecrets`' fields; what was not given is not there."""

_OUTDATED = (AccessRefused, CertificateMismatch, HostKeyMismatch, NotFound)
"""What newer access may mend; `NotFound` is a node whose SSH access was not known yet."""


class Clusters:
    """The known clusters, opened when they are first needed."""

    def __init__(
        self,
        bus: Bus,
        sealer: Sealer,
        *,
        record: Path | None,
        unreadable: NoteUnreadable = ignore_unreadable,
    ) -> None:
        self._bus = bus
        self._sealer = sealer
        self._record = record
        self._hosts = Hosts(record, unreadable=unreadable)
        self._known: dict[str, ClusterAccess] = {}
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def open(self, cluster: str) -> Cluster:
        """Give a cluster's connections."""
        async with self._asking[cluster]:
            if cluster not in self._known:
                self._known[cluster] = await self._ask(cluster)
        return self._hosts.open(cluster, self._known[cluster])

    async def at(self, cluster: str, act: Callable[[Cluster], Awaitable[ResultT]]) -> ResultT:
        """Do something with a cluster; once more if its access has changed meanwhile."""
        opened = await self.open(cluster)
        try:
            return await act(opened)
        except _OUTDATED:
            await self.renew(cluster)
            again = await self.open(cluster)
            if again is opened:
                raise
            return await act(again)

    async def renew(self, cluster: str) -> None:
        """Ask for the access anew; what is known stays if nobody answers."""
        async with self._asking[cluster]:
            self._known[cluster] = await self._ask(cluster)

    def forget(self, cluster: str) -> None:
        """Ask for the access anew when it is needed next."""
        self._known.pop(cluster, None)

    async def drop(self, cluster: str) -> None:
        """Close the connections to a cluster that is not looked after any more."""
        self.forget(cluster)
        await self._hosts.forget(cluster)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._hosts.aclose()

    async def _ask(self, cluster: str) -> ClusterAccess:
        told = await self._bus.ask(GetClusterAccess(cluster=cluster, seal_to="monitor"))
        secrets = open_secrets(self._sealer, told.secrets, owner=told.id)
        api = api_access(told.spec, secrets, told.members)
        addresses: Mapping[str, str] = {}
        if any(node.address is None for node in told.spec.nodes.values()):
            addresses = await self._addresses(api)
        return ClusterAccess(api=api, nodes=node_accesses(told.spec, secrets, addresses))

    async def _addresses(self, access: ApiAccess) -> Mapping[str, str]:
        api = ProxmoxApi(access, record=self._record)
        try:
            return {member.name: member.ip for member in await api.cluster_status() if member.ip}
        finally:
            await api.aclose()


def open_secrets(sealer: Sealer, sealed: ClusterSecrets, *, owner: str) -> Secrets:
    """Open what was sealed to monitor."""
    given = {name: getattr(sealed, name) for name in ClusterSecrets.model_fields}
    return {name: sealer.open(box, owner=owner, field=name) for name, box in given.items() if box is not None}
