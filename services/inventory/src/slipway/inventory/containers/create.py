"""Creates containers: a request is checked and completed, then name, VMID, rows and job are decided on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.bulk import CreateContainers
from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.container_events import ContainerRegistered
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import Accepted, CreateContainer
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob, Target
from slipway.contracts.message import Id
from slipway.contracts.templates import GetTemplate, Manifest
from slipway.inventory.clusters.store import ClusterStore, StoredCluster
from slipway.inventory.clusters.tiers import refuse_below
from slipway.inventory.containers import defaults, placement, site, validation
from slipway.inventory.containers.claims import claim_names, claim_vmids
from slipway.inventory.containers.store import NewContainer, Secret, insert_containers
from slipway.inventory.containers.validation import guest, restricted
from slipway.inventory.decision import Claim, Decision, Gone, Proposal
from slipway.inventory.faults import at, refuse
from slipway.inventory.jobs.enqueuer import accepted
from slipway.inventory.secrets.broker import SecretBroker, generate
from slipway.runtime.bus.client import Bus
from slipway.runtime.database.outbox import Outgoing
from slipway.runtime.process.ids import new_id

ROOT = "root/password"
"""The name of root's password among a container's credentials."""


@dataclass(frozen=True, slots=True)
class Creations:
    """Checks and completes creations."""

    bus: Bus
    clusters: ClusterStore
    secret_broker: SecretBroker

    async def propose(self, request: CreateContainer) -> Proposal[Accepted]:
        """Return the creation of one container."""
        new = await self.complete(request, 1)
        claim = Claim(cluster=new[0].cluster, hostname=new[0].spec.hostname, vmid=new[0].spec.vmid)
        return Proposal(decide=lambda tx, gone: decide_creations(tx, new, gone), claim=claim)

    async def complete(self, request: CreateContainer | CreateContainers, count: int) -> list[NewContainer]:
        """Return as many new containers as requested, each with an id, a place and secrets of its own."""
        validation.check_source(request.spec)
        cluster = await self.clusters.stored(request.spec.cluster)
        refuse_below(cluster.spec.tier, JobKind.CREATE, cluster=cluster.spec.name)
        name = request.spec.template
        template = await self.bus.ask(GetTemplate(name=name)) if name else None
        manifest = template.manifest if template else None
        nodes: Sequence[NodeFacts] = cluster.nodes
        new = []
        for _ in range(count):
            spec, taken = _complete(request.spec, manifest, replace(cluster, nodes=tuple(nodes)))
            nodes = placement.after(nodes, spec)
            container = new_id()
            new.append(
                NewContainer(
                    id=container,
                    cluster=cluster.id,
                    cluster_name=cluster.spec.name,
                    spec=spec,
                    template_version=manifest.version if manifest else None,
                    bundle=template.bundle if template else None,
                    secrets=self._secrets(request, manifest, container),
                    site_defaults=taken,
                )
            )
        return new

    def _secrets(
        self, request: CreateContainer | CreateContainers, manifest: Manifest | None, container: Id
    ) -> Mapping[str, Secret]:
        """Open the secrets of a request, generate the missing ones, and seal all of them for a container."""
        receive, password = self.secret_broker.receive, request.password
        plain = {ROOT: receive(password, owner="container-create", field="password")} if password else {}
        for variable in defaults.secret_variables(manifest, request.secret_variables):
            sealed = request.secret_variables.get(variable.name)
            if sealed is not None:
                plain[variable.name] = receive(sealed, owner="container-create", field=variable.name)
            elif variable.generate is not None:
                plain[variable.name] = generate(variable.generate)
        plain.setdefault(ROOT, generate())
        for name, secret in plain.items():
            field = "password" if name == ROOT else f"variables.{name}"
            validation.check_secret(field, secret.get_secret_value())
        return {
            name: Secret(
                origin="root" if name == ROOT else "variable",
                sealed=self.secret_broker.keep(secret, owner=container, field=name),
            )
            for name, secret in plain.items()
        }


async def decide_creations(
    tx: AsyncConnection, new: Sequence[NewContainer], gone: Gone
) -> Decision[Accepted]:
    """Create containers of one cluster, in few queries however many they are; the reply is the first one's.

    Raises:
        HostnameTaken: names the field.
        VmidTaken: if a requested VMID is in use; names the field.
    """
    requested = [each.spec.vmid for each in new]
    besides = gone.containers
    await claim_names(tx, new[0].cluster, [each.spec.hostname for each in new], besides=besides)
    vmids = await claim_vmids(tx, new[0].cluster, requested, besides=besides, is_free=gone.is_vmid_free)
    commands = [_command(each, vmid) for each, vmid in zip(new, vmids, strict=True)]
    return Decision(
        reply=accepted(commands[0]),
        writes=insert_containers(new, [each.target for each in commands]),
        events=[registered(each) for each in commands],
        commands=commands,
    )


def registered(command: RunJob) -> Outgoing:
    """Return the fact of a new container."""
    target = command.target
    event = ContainerRegistered(
        id=target.container,
        vmid=target.vmid,
        hostname=target.hostname,
        cluster=target.cluster,
        job=command.job,
    )
    return Outgoing(message=event, message_id=f"container:{target.container}:registered")


def _command(container: NewContainer, vmid: int) -> RunJob:
    spec = container.spec
    target = Target(
        container=container.id,
        cluster=container.cluster,
        cluster_name=container.cluster_name,
        node=str(spec.node),
        vmid=vmid,
        vmid_is_provisional=spec.vmid is None,
        hostname=spec.hostname,
    )
    return RunJob(
        job=new_id(),
        kind=JobKind.CREATE,
        target=target,
        spec=spec,
        bundle=container.bundle,
        on_failure=spec.on_failure,
        site_defaults=container.site_defaults,
    )


def _complete(
    request: ContainerSpec, manifest: Manifest | None, cluster: StoredCluster
) -> tuple[ContainerSpec, Mapping[str, str]]:
    """Return a complete container, and what it took from the site defaults."""
    if not cluster.nodes:
        message = f"Nothing is known of the nodes of cluster {cluster.spec.name!r} yet."
        raise at("cluster", defaults.FactsMissing, message)
    if request.guest is not None:
        refuse(validation.ContainerInvalid, guest.faults(request.guest, "guest."))
    spec, taken = site.applied(request, cluster.site_defaults)
    node = placement.choose_node(
        spec.node,
        cluster.nodes,
        storages=placement.named_storages(spec),
        bridges={network.bridge for network in spec.networks if network.bridge is not None},
        in_maintenance=cluster.in_maintenance,
    )
    site.refuse_unusable(taken, node, cluster.spec.name)
    validation.check(spec, manifest, node, cluster.limits)
    complete = defaults.complete(spec, manifest, node)
    restricted.check(complete, cluster.limits)
    site.refuse_outside(complete, manifest)
    return complete.model_copy(update={"cluster": cluster.spec.name}), taken
