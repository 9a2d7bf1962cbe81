"""Containers: accepted, read, observed, discovered, revealed."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from slipway.contracts.clusters import NodeFacts
from slipway.contracts.configs import StoreConfig
from slipway.contracts.containers import (
    Accepted,
    Container,
    ContainerPage,
    ContainerSpec,
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
from slipway.contracts.message import Done, Id
from slipway.contracts.problems import FieldError, Unavailable
from slipway.contracts.templates import GetTemplate, Manifest, Template
from slipway.inventory.clusters.store import ClusterStore, KnownCluster
from slipway.inventory.containers import defaults, placement, validation
from slipway.inventory.containers.config_store import ConfigStore
from slipway.inventory.containers.host_check import HostCheck
from slipway.inventory.containers.inserts import Creation, Secret
from slipway.inventory.containers.looks import Looks
from slipway.inventory.containers.observations import ObservationStore
from slipway.inventory.containers.store import ContainerStore
from slipway.inventory.containers.validation import restricted
from slipway.inventory.jobs.accept import AcceptanceStore
from slipway.inventory.jobs.records import Records
from slipway.inventory.secrets.broker import SecretBroker, generate
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus, Delivery
from slipway.runtime.process.host_access import NONE, HostAccessPolicy
from slipway.runtime.process.ids import new_id

ROOT = "root/password"
"""The name of root's password among a container's credentials."""


class ContainerHandlers:
    """Answers about containers."""

    def __init__(
        self,
        *,
        bus: Bus,
        clusters: ClusterStore,
        acceptance: AcceptanceStore,
        containers: ContainerStore,
        configs: ConfigStore,
        observations: ObservationStore,
        records: Records,
        host_check: HostCheck,
        secret_broker: SecretBroker,
        looks: Looks,
        host_access: HostAccessPolicy = NONE,
    ) -> None:
        self._bus = bus
        self._clusters = clusters
        self._acceptance = acceptance
        self._containers = containers
        self._configs = configs
        self._observations = observations
        self._records = records
        self._host_check = host_check
        self._secret_broker = secret_broker
        self._looks = looks
        self._host_access = host_access

    async def create(self, query: CreateContainer, call: Call) -> Accepted:
        """Check, complete and accept a creation."""
        done = await self._acceptance.done_before(call, "container.create", query)
        if done is not None:
            return done
        (creation,) = await self.prepare(query, 1)
        return await self._host_check.unless_gone(
            lambda is_free: self._acceptance.create(call, query, replace(creation, vmid_is_free=is_free)),
            cluster=creation.cluster,
            vmid=creation.spec.vmid,
            hostname=creation.spec.hostname,
        )

    async def prepare(self, query: CreateContainer, count: int) -> list[Creation]:
        """Check and complete a request, as often as wanted; each has its own id, place and secrets."""
        validation.check_source(query.spec)
        cluster = await self._clusters.known(query.spec.cluster)
        template = await self._template(query.spec)
        manifest = template.manifest if template else None
        nodes: Sequence[NodeFacts] = cluster.nodes
        prepared = []
        for _ in range(count):
            spec = _complete(query.spec, manifest, replace(cluster, nodes=tuple(nodes)), self._host_access)
            nodes = placement.after(nodes, spec)
            container = new_id()
            prepared.append(
                Creation(
                    container=container,
                    cluster=cluster.id,
                    cluster_name=cluster.spec.name,
                    spec=spec,
                    template_version=manifest.version if manifest else None,
                    bundle=template.bundle if template else None,
                    secrets=self._secrets(query, manifest, container),
                )
            )
        return prepared

    async def delete(self, query: DeleteContainer, call: Call) -> Accepted:
        """Accept a deletion."""
        done = await self._acceptance.done_before(call, "container.delete", query)
        if done is not None:
            return done
        await self._host_check.refuse_deletion(await self._containers.get(query.container))
        return await self._records.unless_over(lambda: self._acceptance.delete(call, query))

    async def forget(self, query: ForgetContainer, call: Call) -> Container:
        """Drop one whose host is gone. Idempotent: one that is forgotten already stays so."""
        found = await self._containers.get(query.container)
        if not found.is_forgotten:
            await self._records.unless_over(lambda: self._host_check.forget(call, found))
        return self._looks.container(await self._containers.get(query.container))

    async def get(self, query: GetContainer, _call: Call) -> Container:
        """Give one."""
        found = await self._containers.get(query.container)
        if found.job is not None and await self._records.catch_up(found.job):
            found = await self._containers.get(query.container)
        return self._looks.container(found)

    async def list(self, query: ListContainers, _call: Call) -> ContainerPage:
        """Give some."""
        return self._looks.containers(await self._containers.list(query))

    async def reveal(self, query: RevealCredential, call: Call) -> Revealed:
        """Show a credential to the gateway."""
        row = await self._containers.reveal(call, query.container, query.credential)
        secret = self._secret_broker.vault.open(row.sealed, owner=query.container, field=row.name)
        value = self._secret_broker.sealer.seal(secret, to="gateway", owner=row.id, field="value")
        return Revealed(id=row.id, name=row.name, value=value)

    async def discovered(self, query: StoreDiscovery, _call: Call) -> StoredDiscovery:
        """Store what monitor found."""
        owner = query.container
        stored = {}
        for each in query.credentials:
            secret = self._secret_broker.receive(each.value, owner=owner, field=each.name)
            stored[each.name] = self._secret_broker.keep(secret, owner=owner, field=each.name)
        return await self._containers.discover(query, stored)

    async def config_read(self, query: StoreConfig, _call: Call) -> Done:
        """Keep a config that monitor read. Idempotent: only what was read later is taken."""
        await self._configs.store(query)
        return Done()

    async def guest_changed(self, event: GuestChanged, _delivery: Delivery) -> None:
        """Keep a guest's power and node. Idempotent: only newer observations are taken."""
        await self._observations.observe(event.status)

    async def guest_gone(self, event: GuestGone, _delivery: Delivery) -> None:
        """Keep that a guest is not seen; what was left of a failed one is given up. Idempotent."""
        await self._observations.miss(event.cluster, event.vmid, event.at)
        # Asked again when its name or VMID is wanted: nothing is lost if Proxmox can't be asked now.
        with contextlib.suppress(Unavailable):
            await self._host_check.free_gone(event.cluster, event.vmid)

    async def _template(self, spec: ContainerSpec) -> Template | None:
        return await self._bus.ask(GetTemplate(name=spec.template)) if spec.template else None

    def _secrets(
        self, query: CreateContainer, manifest: Manifest | None, container: Id
    ) -> Mapping[str, Secret]:
        """Open what was given, generate what was not, and seal all of it for this container."""
        password = query.password
        given = (
            {ROOT: self._secret_broker.receive(password, owner="container-create", field="password")}
            if password
            else {}
        )
        for variable in defaults.secret_variables(manifest, query.secret_variables):
            sealed = query.secret_variables.get(variable.name)
            if sealed is not None:
                given[variable.name] = self._secret_broker.receive(
                    sealed, owner="container-create", field=variable.name
                )
            elif variable.generate is not None:
                given[variable.name] = generate(variable.generate)
        given.setdefault(ROOT, generate())
        for name, secret in given.items():
            validation.check_secret(
                "password" if name == ROOT else f"variables.{name}", secret.get_secret_value()
            )
        return {
            name: Secret(
                origin="root" if name == ROOT else "variable",
                sealed=self._secret_broker.keep(secret, owner=container, field=name),
            )
            for name, secret in given.items()
        }


def _complete(
    spec: ContainerSpec, manifest: Manifest | None, cluster: KnownCluster, host_access: HostAccessPolicy
) -> ContainerSpec:
    if not cluster.nodes:
        message = f"Nothing is known of the nodes of cluster {cluster.spec.name!r} yet."
        raise defaults.FactsMissing(message, errors=[FieldError(field="cluster", message=message)])
    node = placement.choose_node(
        spec.node,
        cluster.nodes,
        storages=placement.named_storages(spec),
        in_maintenance=cluster.in_maintenance,
    )
    validation.check(spec, manifest, node, host_access)
    complete = defaults.complete(spec, manifest, node)
    restricted.check(complete, host_access)
    return complete.model_copy(update={"cluster": cluster.spec.name})
