"""Clusters: added after a test, listed, and handed to who may reach them."""

from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

from slipway.contracts.clusters import (
    AddCluster,
    AuditPage,
    ChangeClusterAccess,
    Cluster,
    ClusterAccess,
    ClusterFacts,
    ClusterPage,
    ClusterSecrets,
    ClusterSpec,
    ConfirmHostKey,
    GetCluster,
    GetClusterAccess,
    ListAudit,
    ListClusters,
    NodeObserved,
    SetMaintenance,
    SetVmidRange,
    SshNode,
    TestCluster,
)
from slipway.contracts.problems import Forbidden
from slipway.contracts.values import Sealed
from slipway.inventory import cluster_rules
from slipway.inventory.credentials import Custody
from slipway.inventory.domain import specs
from slipway.inventory.store.audit import AuditStore
from slipway.inventory.store.cluster_access import AccessStore
from slipway.inventory.store.clusters import ClusterStore, KnownCluster, refuse_unknown
from slipway.inventory.store.queue import Queue
from slipway.runtime.bus import Bus, Delivery
from slipway.runtime.call import Call
from slipway.runtime.ids import new_id

MAY_REACH: Final = ("provisioner", "monitor")


class ClusterHandlers:
    """Answers about clusters."""

    def __init__(
        self,
        *,
        bus: Bus,
        store: ClusterStore,
        reached: AccessStore,
        queue: Queue,
        trail: AuditStore,
        custody: Custody,
    ) -> None:
        self._bus = bus
        self._store = store
        self._reached = reached
        self._queue = queue
        self._trail = trail
        self._custody = custody

    async def add(self, query: AddCluster, call: Call) -> Cluster:
        """Test a cluster, then save it."""
        done = await self._store.done_before(call, query)
        if done is not None:
            return done
        spec = query.spec
        cluster_rules.check(spec, _given(query.secrets))
        await self._store.refuse_taken(spec.name)
        cluster = new_id()
        opened = self._received(query.secrets, owner=spec.name)
        facts = await self._test(spec, opened)
        return await self._store.add(call, cluster, query, self._kept(opened, owner=cluster), facts)

    async def get(self, query: GetCluster, _call: Call) -> Cluster:
        """Give one."""
        return await self._store.get(query.cluster)

    async def list(self, query: ListClusters, _call: Call) -> ClusterPage:
        """Give some."""
        return await self._store.list(limit=query.limit, cursor=query.cursor)

    async def maintain(self, query: SetMaintenance, call: Call) -> Cluster:
        """Switch a node's maintenance."""
        return await self._queue.set_maintenance(call, query.cluster, query.node, is_on=query.is_on)

    async def set_vmids(self, query: SetVmidRange, call: Call) -> Cluster:
        """Say which VMIDs are chosen from."""
        if query.vmids is not None:
            specs.check_range(query.vmids)
        return await self._store.set_vmids(call, query.cluster, query.vmids)

    async def confirm(self, query: ConfirmHostKey, call: Call) -> Cluster:
        """Try a node's host key, then save it. Idempotent: a confirmed one is tried and saved once more."""
        known = await self._store.known(query.cluster)
        refuse_unknown(known, query.node)
        reached = SshNode(address=query.address, port=query.port, host_key=query.host_key)
        spec = cluster_rules.confirmed(known.spec, query.node, reached)
        facts = await self._test(specs.with_addresses(spec, known.nodes), self._opened(known))
        cluster_rules.refuse_unreached(query.node, query.host_key, facts)
        return await self._reached.confirm(call, known.id, query.node, spec.nodes[query.node], facts)

    async def change_access(self, query: ChangeClusterAccess, call: Call) -> Cluster:
        """Try another way to reach a cluster, then save it."""
        known = await self._store.known(query.cluster)
        changes = cluster_rules.changes_of(query)
        spec = known.spec.model_copy(update=dict(changes))
        given = self._received(query.secrets, owner=query.cluster)
        stay = cluster_rules.kept_secrets(spec, known.secrets, given)
        opened = {name: secret for name, secret in self._opened(known).items() if name in stay} | given
        cluster_rules.check(spec, opened)
        facts = await self._test(specs.with_addresses(spec, known.nodes), opened)
        kept = self._kept(opened, owner=known.id)
        return await self._reached.change_access(call, known.id, changes, kept, facts)

    def _received(self, secrets: ClusterSecrets, *, owner: str) -> dict[str, SecretStr]:
        return {
            field: self._custody.receive(sealed, owner=owner, field=field)
            for field, sealed in _given(secrets).items()
        }

    def _opened(self, known: KnownCluster) -> dict[str, SecretStr]:
        return {
            field: self._custody.vault.open(kept, owner=known.id, field=field)
            for field, kept in known.secrets.items()
        }

    def _kept(self, opened: Mapping[str, SecretStr], *, owner: str) -> Mapping[str, str]:
        return {
            field: self._custody.keep(secret, owner=owner, field=field) for field, secret in opened.items()
        }

    async def _test(self, spec: ClusterSpec, secrets: Mapping[str, SecretStr]) -> ClusterFacts:
        """Have monitor reach a cluster."""
        passed_on = {
            field: self._custody.sealer.seal(secret, to="monitor", owner=spec.name, field=field)
            for field, secret in secrets.items()
        }
        return await self._bus.ask(TestCluster(spec=spec, secrets=ClusterSecrets.model_validate(passed_on)))

    async def access(self, query: GetClusterAccess, _call: Call) -> ClusterAccess:
        """Hand out how a cluster is reached, sealed to who asked."""
        if query.seal_to not in MAY_REACH:
            raise Forbidden(f"{query.seal_to!r} may not reach hosts.", code="cluster.access-refused")
        known = await self._store.known(query.cluster)
        secrets = {
            field: self._custody.pass_on(kept, owner=known.id, field=field, to=query.seal_to)
            for field, kept in known.secrets.items()
        }
        spec = specs.with_addresses(known.spec, known.nodes)
        return ClusterAccess(id=known.id, spec=spec, secrets=ClusterSecrets.model_validate(secrets))

    async def audit(self, query: ListAudit, _call: Call) -> AuditPage:
        """Give the trail."""
        return await self._trail.entries(limit=query.limit, cursor=query.cursor)

    async def node_observed(self, event: NodeObserved, _delivery: Delivery) -> None:
        """Keep a node's facts. Idempotent: only newer ones are taken."""
        await self._store.observe(event.cluster, event.facts)


def _given(secrets: ClusterSecrets) -> Mapping[str, Sealed]:
    fields = {name: getattr(secrets, name) for name in ClusterSecrets.model_fields}
    return {name: sealed for name, sealed in fields.items() if sealed is not None}
