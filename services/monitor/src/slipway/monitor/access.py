"""Clusters as monitor reaches them: access asked from inventory, opened here, stored in memory only.

Access that a host no longer accepts is asked for once more before the error counts: it may have been changed.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from slipway.contracts.clusters import ClusterSecrets, GetClusterAccess
from slipway.contracts.problems import NotFound, SlipwayError
from slipway.monitor.diagnosis import Diagnosis, Subject, of_error
from slipway.proxmox.access import ApiAccess, ClusterAccess, api_access, node_accesses
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.errors import AccessRefused, CertificateMismatch, HostKeyMismatch
from slipway.proxmox.hosts import Cluster, Hosts
from slipway.proxmox.reading import NoteUnreadable, ignore_unreadable
from slipway.proxmox.tls import scan_fingerprint
from slipway.runtime.bus.client import Bus
from slipway.runtime.secrets.sealing import Sealer

ResultT = TypeVar("ResultT")
Secrets = Mapping[str, SecretStr]
"""By the names of `ClusterSecrets`' fields; what was not given is not there."""

SCAN = timedelta(seconds=3)
"""How long a cluster may take to show its certificate."""
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
        self._quick_hosts = Hosts(record, unreadable=unreadable)
        """For short questions, which must not wait behind long ones."""
        self._known: dict[str, ClusterAccess] = {}
        self._names: dict[str, str] = {}
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def at(self, cluster: str, act: Callable[[Cluster], Awaitable[ResultT]]) -> ResultT:
        """Do something with a cluster; once more if its access has changed meanwhile."""
        return await self._at(cluster, act, self._hosts)

    async def quickly(self, cluster: str, act: Callable[[ProxmoxApi], Awaitable[ResultT]]) -> ResultT:
        """Ask a cluster's API something short, beside all else that is done with it."""
        return await self._at(cluster, lambda opened: act(opened.api), self._quick_hosts)

    def subject(self, cluster: str) -> Subject:
        """Say of which cluster is spoken, as far as that is known."""
        known, name = self._known.get(cluster), self._names.get(cluster, cluster)
        if known is None:
            return Subject(name=name)
        api = known.api
        asker = f"the token {api.token_id}" if api.token_id else f"the user {api.username}"
        return Subject(name=name, endpoint=api.endpoint, asker=asker, pinned=api.tls_fingerprint)

    async def diagnose(self, cluster: str, error: SlipwayError) -> Diagnosis | None:
        """Say what is wrong with a cluster; of another certificate, which one it shows."""
        subject, shown = self.subject(cluster), None
        if isinstance(error, CertificateMismatch) and "shown" not in error.details:
            with contextlib.suppress(SlipwayError):
                at = error.details.get("endpoint") or subject.endpoint
                shown = await scan_fingerprint(at, timeout=SCAN)
        return of_error(error, subject, shown=shown)

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
        await self._quick_hosts.forget(cluster)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._hosts.aclose()
        await self._quick_hosts.aclose()

    async def _open(self, cluster: str, hosts: Hosts) -> Cluster:
        async with self._asking[cluster]:
            if cluster not in self._known:
                self._known[cluster] = await self._ask(cluster)
        return hosts.open(cluster, self._known[cluster])

    async def _at(self, cluster: str, act: Callable[[Cluster], Awaitable[ResultT]], hosts: Hosts) -> ResultT:
        opened = await self._open(cluster, hosts)
        try:
            return await act(opened)
        except _OUTDATED:
            await self.renew(cluster)
            again = await self._open(cluster, hosts)
            if again is opened:
                raise
            return await act(again)

    async def _ask(self, cluster: str) -> ClusterAccess:
        told = await self._bus.ask(GetClusterAccess(cluster=cluster, seal_to="monitor"))
        self._names[cluster] = told.spec.name
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
