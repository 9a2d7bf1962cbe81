"""Connections to the clusters: inventory gives the access, it is opened here and stays in memory only.

When a host refuses the access, inventory is asked for it once more before the error counts: somebody may have
changed it.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from slipway.contracts.clusters import ClusterSecrets, GetClusterAccess
from slipway.contracts.problems import NotFound, SlipwayError
from slipway.contracts.tiers import TIERS, Tier
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
"""Secrets by the names of the fields of `ClusterSecrets`; only those that the cluster has."""

_NEEDED_TO_CREATE = frozenset(
    {
        "Datastore.AllocateSpace",
        "Datastore.Audit",
        "Sys.Audit",
        "VM.Allocate",
        "VM.Audit",
        "VM.Config.CPU",
        "VM.Config.Disk",
        "VM.Config.Memory",
        "VM.Config.Network",
        "VM.Config.Options",
        "VM.PowerMgmt",
    }
)
"""Privileges without which no container could be made; on which path is the operator's choice."""
_NEEDED_PATHS = ("/", "/vms", "/storage")
"""Below tier full; networks and pools that can't be read are only not listed."""
OWN = "slipway"
"""How the users begin that are made for Slipway; another one's token may be used by others too."""
SCAN = timedelta(seconds=3)
"""How long a cluster may take to show its certificate."""
_OUTDATED = (AccessRefused, CertificateMismatch, HostKeyMismatch, NotFound)
"""Errors that newer access may cure; `NotFound` is a node whose SSH access was not known yet."""


class ClusterConnections:
    """The known clusters, connected when they are first needed."""

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
        self._access: dict[str, ClusterAccess] = {}
        self._names: dict[str, str] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self, cluster: str, act: Callable[[Cluster], Awaitable[ResultT]]) -> ResultT:
        """Run an action on a cluster; once more if its access has changed meanwhile."""
        return await self._run(cluster, act, self._hosts)

    async def query(self, cluster: str, act: Callable[[ProxmoxApi], Awaitable[ResultT]]) -> ResultT:
        """Ask a cluster's API a short question, beside everything else that runs on it."""
        return await self._run(cluster, lambda opened: act(opened.api), self._quick_hosts)

    def tier(self, cluster: str) -> Tier:
        """Return a cluster's tier as it was last known."""
        access = self._access.get(cluster)
        return access.tier if access is not None else Tier.FULL

    def subject(self, cluster: str) -> Subject:
        """Describe a cluster as far as it is known, for a diagnosis."""
        access, name = self._access.get(cluster), self._names.get(cluster, cluster)
        if access is None:
            return Subject(name=name)
        api = access.api
        asker = f"the token {api.token_id}" if api.token_id else f"the user {api.username}"
        return Subject(name=name, endpoint=api.endpoint, asker=asker, pinned=api.tls_fingerprint)

    def own_token(self, cluster: str) -> str | None:
        """Return the token that only Slipway uses on a cluster, by its name; None for another one."""
        access = self._access.get(cluster)
        token = access.api.token_id if access else None
        return token if token is not None and token.startswith(OWN) else None

    async def diagnose(self, cluster: str, error: SlipwayError) -> Diagnosis | None:
        """Diagnose a cluster by an error; for an unexpected certificate, read which one it shows."""
        subject, shown = self.subject(cluster), None
        if isinstance(error, CertificateMismatch) and "shown" not in error.details:
            with contextlib.suppress(SlipwayError):
                at = error.details.get("endpoint") or subject.endpoint
                shown = await scan_fingerprint(at, timeout=SCAN)
        return of_error(error, subject, shown=shown)

    async def renew(self, cluster: str) -> None:
        """Ask inventory for the access again; the present one stays if nobody answers."""
        async with self._locks[cluster]:
            self._access[cluster] = await self._ask(cluster)

    def forget(self, cluster: str) -> None:
        """Ask inventory for the access when it is needed next."""
        self._access.pop(cluster, None)

    async def drop(self, cluster: str) -> None:
        """Close the connections to a cluster that is not watched any more."""
        self.forget(cluster)
        await self._hosts.forget(cluster)
        await self._quick_hosts.forget(cluster)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._hosts.aclose()
        await self._quick_hosts.aclose()

    async def _open(self, cluster: str, hosts: Hosts) -> Cluster:
        async with self._locks[cluster]:
            if cluster not in self._access:
                self._access[cluster] = await self._ask(cluster)
        return hosts.open(cluster, self._access[cluster])

    async def _run(self, cluster: str, act: Callable[[Cluster], Awaitable[ResultT]], hosts: Hosts) -> ResultT:
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
        response = await self._bus.ask(GetClusterAccess(cluster=cluster, seal_to="monitor"))
        self._names[cluster] = response.spec.name
        secrets = open_secrets(self._sealer, response.secrets, owner=response.id)
        api = api_access(response.spec, secrets, response.members)
        addresses: Mapping[str, str] = {}
        if any(node.address is None for node in response.spec.nodes.values()):
            addresses = await self._addresses(api)
        nodes = node_accesses(response.spec, secrets, addresses)
        return ClusterAccess(api=api, nodes=nodes, tier=response.spec.tier)

    async def _addresses(self, access: ApiAccess) -> Mapping[str, str]:
        api = ProxmoxApi(access, record=self._record)
        try:
            return {member.name: member.ip for member in await api.cluster_status() if member.ip}
        finally:
            await api.aclose()


def missing_privileges(tier: Tier, held: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the privileges that an access lacks for its tier, by what it holds on each path."""
    needed = _NEEDED_TO_CREATE
    if tier is not Tier.FULL:
        needed = frozenset[str]().union(*(TIERS[tier].privileges[path] for path in _NEEDED_PATHS))
    return sorted(needed.difference(*held.values()))


def surplus_privileges(tier: Tier, held: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the privileges beyond a tier that an access holds; the right to read is never one."""
    if tier is Tier.FULL:
        return []
    included = frozenset[str]().union(*TIERS[tier].privileges.values())
    extra = frozenset[str]().union(*held.values()) - included
    return sorted(each for each in extra if not each.endswith(".Audit"))


def open_secrets(sealer: Sealer, sealed: ClusterSecrets, *, owner: str) -> Secrets:
    """Open the secrets that were sealed to monitor."""
    return {name: sealer.open(box, owner=owner, field=name) for name, box in sealed if box is not None}
