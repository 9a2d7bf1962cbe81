"""Containers: created, deleted, read, observed, discovered, revealed."""

import contextlib

from slipway.contracts.configs import StoreConfig
from slipway.contracts.containers import (
    Accepted,
    Container,
    ContainerPage,
    CreateContainer,
    DeleteContainer,
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
from slipway.inventory.acceptance import Acceptance
from slipway.inventory.containers.create import Creations
from slipway.inventory.containers.host_check import HostCheck
from slipway.inventory.containers.looks import Looks
from slipway.inventory.containers.observations import ObservationStore
from slipway.inventory.containers.store import ContainerStore
from slipway.inventory.containers.use_cases import decide_config, decide_discovery, decide_reveal
from slipway.inventory.jobs.records import Records
from slipway.inventory.jobs.use_cases import JobRequests
from slipway.inventory.secrets.broker import SecretBroker
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Delivery


class ContainerHandlers:
    """Answers about containers."""

    def __init__(
        self,
        *,
        acceptance: Acceptance,
        unit: UnitOfWork,
        creations: Creations,
        requests: JobRequests,
        containers: ContainerStore,
        observations: ObservationStore,
        records: Records,
        host_check: HostCheck,
        secret_broker: SecretBroker,
        looks: Looks,
    ) -> None:
        self._acceptance = acceptance
        self._unit = unit
        self._creations = creations
        self._requests = requests
        self._containers = containers
        self._observations = observations
        self._records = records
        self._host_check = host_check
        self._secret_broker = secret_broker
        self._looks = looks

    async def create(self, query: CreateContainer, call: Call) -> Accepted:
        """Accept a creation."""
        return await self._acceptance.accept(
            call, "container.create", query, Accepted, lambda: self._creations.propose(query)
        )

    async def delete(self, query: DeleteContainer, call: Call) -> Accepted:
        """Accept a deletion."""
        return await self._acceptance.accept(
            call, "container.delete", query, Accepted, lambda: self._requests.propose_deletion(query)
        )

    async def forget(self, query: ForgetContainer, call: Call) -> Container:
        """Drop one whose host is gone. Idempotent: one that is forgotten already stays so."""
        container = await self._containers.get(query.container)
        if not container.is_forgotten:
            await self._records.unless_over(lambda: self._host_check.forget(call, container))
        return self._looks.container(await self._containers.get(query.container))

    async def get(self, query: GetContainer, _call: Call) -> Container:
        """Return one."""
        container = await self._containers.get(query.container)
        if container.job is not None and await self._records.catch_up(container.job):
            container = await self._containers.get(query.container)
        return self._looks.container(container)

    async def list(self, query: ListContainers, _call: Call) -> ContainerPage:
        """Return a page of them."""
        return self._looks.containers(await self._containers.list(query))

    async def reveal(self, query: RevealCredential, call: Call) -> Revealed:
        """Return a credential, sealed to the gateway."""
        row = await self._unit.run(call, lambda tx: decide_reveal(tx, query.container, query.credential))
        secret = self._secret_broker.vault.open(row.sealed, owner=query.container, field=row.name)
        value = self._secret_broker.sealer.seal(secret, to="gateway", owner=row.id, field="value")
        return Revealed(id=row.id, name=row.name, value=value)

    async def discovered(self, query: StoreDiscovery, call: Call) -> StoredDiscovery:
        """Store what monitor discovered."""
        owner = query.container
        sealed = {}
        for each in query.credentials:
            secret = self._secret_broker.receive(each.value, owner=owner, field=each.name)
            sealed[each.name] = self._secret_broker.keep(secret, owner=owner, field=each.name)
        return await self._unit.run(call, lambda tx: decide_discovery(tx, query, sealed))

    async def config_read(self, query: StoreConfig, call: Call) -> Done:
        """Store a config that monitor read. Idempotent: only what was read later is taken."""
        return await self._unit.run(call, lambda tx: decide_config(tx, query))

    async def guest_changed(self, event: GuestChanged, _delivery: Delivery) -> None:
        """Store a guest's power and node. Idempotent: only newer observations are taken."""
        await self._observations.observe(event.status)

    async def guest_gone(self, event: GuestGone, _delivery: Delivery) -> None:
        """Store that a guest is not seen; what was left of a failed one is given up. Idempotent."""
        await self._observations.miss(event.cluster, event.vmid, event.at)
        # Proxmox is asked again when the name or the VMID is requested: nothing is lost without an answer.
        with contextlib.suppress(Unavailable):
            await self._host_check.release_gone(event.cluster, event.vmid)
