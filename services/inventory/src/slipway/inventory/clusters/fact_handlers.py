"""Answers to forms: what can be chosen, the next VMID, what is free. Nothing here asks a host.

Monitor is told when somebody wants facts read anew; what it reads then comes as always.
"""

from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.clusters import Cluster
from slipway.contracts.form_facts import (
    Availabilities,
    CheckAvailability,
    FactsRequestAccepted,
    FactsRequested,
    FormFacts,
    GetFormFacts,
    GetNextVmid,
    NextVmid,
    RequestFacts,
)
from slipway.contracts.message import Id
from slipway.contracts.problems import Invalid
from slipway.inventory.clusters import availability
from slipway.inventory.clusters.form_facts import form_facts, range_of
from slipway.inventory.clusters.store import ClusterStore
from slipway.inventory.containers.claims import claim_vmids
from slipway.inventory.containers.defaults import NoVmidLeft, VmidBeyondKey
from slipway.inventory.containers.holders import find_holders
from slipway.inventory.containers.looks import Looks
from slipway.inventory.decision import Decision
from slipway.inventory.faults import at
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call
from slipway.runtime.database.engine import Database
from slipway.runtime.database.outbox import Outgoing
from slipway.runtime.process.ids import new_id
from slipway.runtime.retry import Deadline

REQUESTED_EVERY_SECONDS = 60.0
"""How often facts are read anew on request: a node is asked for lists of hundreds then."""


class NothingToCheck(Invalid):
    """The request names neither VMID nor name nor address."""

    code = "check.empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactHandlers:
    """Answers forms."""

    database: Database
    unit: UnitOfWork
    store: ClusterStore
    looks: Looks
    requested: dict[Id, Deadline] = field(default_factory=dict)
    """Until when no cluster's facts are requested once more."""

    async def facts(self, query: GetFormFacts, _call: Call) -> FormFacts:
        """Return what can be chosen in a cluster."""
        cluster = await self._cluster(query.cluster)
        try:
            following = await self._next(cluster)
        except (NoVmidLeft, VmidBeyondKey):
            following = None
        return form_facts(cluster, following)

    async def request(self, query: RequestFacts, call: Call) -> FactsRequestAccepted:
        """Tell monitor to read a cluster's facts anew, unless that was requested a moment ago."""
        cluster = (await self.store.get(query.cluster)).id
        last = self.requested.get(cluster)
        if last is not None and not last.has_passed:
            return FactsRequestAccepted(cluster=cluster, is_new=False)
        self.requested[cluster] = Deadline(REQUESTED_EVERY_SECONDS)
        event = Outgoing(message=FactsRequested(id=cluster), message_id=f"cluster:{cluster}:facts:{new_id()}")

        async def decide(_tx: AsyncConnection) -> Decision[None]:
            return Decision(reply=None, events=[event])

        await self.unit.run(call, decide)
        return FactsRequestAccepted(cluster=cluster)

    async def next_vmid(self, query: GetNextVmid, _call: Call) -> NextVmid:
        """Return the VMID that a container would get now."""
        cluster = await self._cluster(query.cluster)
        return NextVmid(vmid=await self._next(cluster), vmids=range_of(cluster))

    async def check(self, query: CheckAvailability, _call: Call) -> Availabilities:
        """Return whether a VMID, a name and an address are free."""
        fields = {"vmid": query.vmid, "hostname": query.hostname, "address": query.address}
        if not any(fields.values()):
            raise at("vmid", NothingToCheck, "Give at least one of vmid, hostname and address.")
        cluster = await self._cluster(query.cluster)
        vmid, address = availability.read_vmid(query.vmid), availability.read_address(query.address)
        async with self.database.autocommit() as tx:
            holders = await find_holders(
                tx, cluster.id, vmid=vmid, hostname=query.hostname, address=address and address.ip
            )
        return Availabilities(
            vmid=availability.of_vmid(query.vmid, cluster, holders.vmid) if query.vmid else None,
            hostname=availability.of_hostname(query.hostname, holders.hostname) if query.hostname else None,
            address=availability.of_address(query.address, cluster, holders.address)
            if query.address
            else None,
            looked_at=cluster.looked_at,
        )

    async def _cluster(self, cluster: str) -> Cluster:
        return self.looks.cluster(await self.store.get(cluster))

    async def _next(self, cluster: Cluster) -> int:
        async with self.database.autocommit() as tx:
            (vmid,) = await claim_vmids(tx, cluster.id, [None])
        return vmid
