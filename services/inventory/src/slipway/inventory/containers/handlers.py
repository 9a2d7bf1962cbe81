"""Containers: read, observed, discovered, revealed, forgotten."""

import contextlib
from dataclasses import dataclass

from slipway.contracts.configs import StoreConfig
from slipway.contracts.containers import (
    ForgetContainer,
    GetContainer,
    ListContainers,
    RevealCredential,
    Revealed,
    StoredDiscovery,
    StoreDiscovery,
)
from slipway.contracts.guests import GuestChanged, GuestGone
from slipway.contracts.message import Done
from slipway.contracts.problems import Unavailable
from slipway.inventory.containers.documents import page_document
from slipway.inventory.containers.host_check import HostCheck
from slipway.inventory.containers.looks import Looks
from slipway.inventory.containers.observations import ObservationStore
from slipway.inventory.containers.pages import ContainerPages
from slipway.inventory.containers.store import ContainerStore
from slipway.inventory.containers.use_cases import decide_config, decide_discovery, decide_reveal
from slipway.inventory.jobs.records import Records
from slipway.inventory.secrets.broker import SecretBroker
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerHandlers:
    """Answers about containers."""

    unit: UnitOfWork
    containers: ContainerStore
    pages: ContainerPages
    observations: ObservationStore
    records: Records
    host_check: HostCheck
    secret_broker: SecretBroker
    looks: Looks

    async def forget(self, query: ForgetContainer, call: Call) -> bytes:
        """Drop one whose host is gone. Idempotent: one that is forgotten already stays so."""
        container = await self.containers.get(query.container)
        if not container.is_forgotten:
            await self.records.unless_over(lambda: self.host_check.forget(call, container))
        return self.looks.reader()(await self.containers.row(query.container))

    async def get(self, query: GetContainer, _call: Call) -> bytes:
        """Return one."""
        row = await self.containers.row(query.container)
        if row.job is not None and await self.records.catch_up(row.job):
            row = await self.containers.row(query.container)
        return self.looks.reader()(row)

    async def list(self, query: ListContainers, _call: Call) -> bytes:
        """Return a page of them."""
        return page_document(*await self.pages.page(query, self.looks.reader()))

    async def reveal(self, query: RevealCredential, call: Call) -> Revealed:
        """Return a credential, sealed to the gateway."""
        row = await self.unit.run(call, lambda tx: decide_reveal(tx, query.container, query.credential))
        secret = self.secret_broker.vault.open(row.sealed, owner=query.container, field=row.name)
        value = self.secret_broker.sealer.seal(secret, to="gateway", owner=row.id, field="value")
        return Revealed(id=row.id, name=row.name, value=value)

    async def discovered(self, query: StoreDiscovery, call: Call) -> StoredDiscovery:
        """Store what monitor discovered."""
        owner = query.container
        sealed = {}
        for each in query.credentials:
            secret = self.secret_broker.receive(each.value, owner=owner, field=each.name)
            sealed[each.name] = self.secret_broker.keep(secret, owner=owner, field=each.name)
        return await self.unit.run(call, lambda tx: decide_discovery(tx, query, sealed))

    async def config_read(self, query: StoreConfig, call: Call) -> Done:
        """Store a config that monitor read. Idempotent: only what was read later is taken."""
        return await self.unit.run(call, lambda tx: decide_config(tx, query))

    async def guest_changed(self, event: GuestChanged, _delivery: Delivery) -> None:
        """Store a guest's power and node. Idempotent: only newer observations are taken."""
        await self.observations.observe(event.status)

    async def guest_gone(self, event: GuestGone, _delivery: Delivery) -> None:
        """Store that a guest is not seen; release its VMID if a failed container held it. Idempotent."""
        await self.observations.miss(event.cluster, event.vmid, event.at)
        # Proxmox is asked again when the name or the VMID is requested: nothing is lost without an answer.
        with contextlib.suppress(Unavailable):
            await self.host_check.release_gone(event.cluster, event.vmid)
