"""Clusters: added after a test, listed, and handed to who may reach them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.audit import AuditPage, ListAudit
from slipway.contracts.cluster_facts import ClusterFacts, NodeObserved
from slipway.contracts.cluster_removal import ClusterRemoval, RemoveCluster
from slipway.contracts.clusters import (
    AddCluster,
    ChangeClusterAccess,
    Cluster,
    ClusterAccess,
    ClusterPage,
    ClusterSecrets,
    ClusterSpec,
    ConfirmHostKey,
    GetCluster,
    GetClusterAccess,
    ListClusters,
    SetMaintenance,
    SetVmidRange,
    SshNode,
    TestCluster,
)
from slipway.contracts.message import Id
from slipway.contracts.problems import Forbidden
from slipway.contracts.values import Sealed
from slipway.inventory.audit import AuditStore
from slipway.inventory.clusters import rules
from slipway.inventory.clusters.identity import ClusterIdentities, name_taken
from slipway.inventory.clusters.store import ClusterStore, StoredCluster, refuse_unknown
from slipway.inventory.clusters.use_cases import (
    ClusterBusy,
    decide_access,
    decide_addition,
    decide_host_key,
    decide_maintenance,
    decide_observation,
    decide_removal,
    decide_vmid_range,
)
from slipway.inventory.containers import defaults
from slipway.inventory.containers.looks import Looks
from slipway.inventory.decision import Decision
from slipway.inventory.jobs.records import Records
from slipway.inventory.secrets.broker import SecretBroker
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call, current
from slipway.runtime.bus.client import Bus, Delivery
from slipway.runtime.process.ids import new_id

MAY_REACH: Final = ("provisioner", "monitor")


@dataclass(frozen=True, slots=True)
class TestOf:
    """What is tested, and how much has to work."""

    spec: ClusterSpec
    stored: StoredCluster | None = None
    """It, as it is stored."""
    needs_ssh: bool = True
    is_believed_anew: bool = False

    def query(self, secrets: ClusterSecrets) -> TestCluster:
        """Return the question to monitor."""
        stored = self.stored
        if stored is None:
            return TestCluster(spec=self.spec, secrets=secrets)
        return TestCluster(
            spec=self.spec,
            secrets=secrets,
            is_known=True,
            members=() if self.is_believed_anew else rules.member_endpoints(self.spec, stored.doors),
            known_endpoints=(stored.spec.endpoint, *stored.spec.endpoints),
            needs_ssh=self.needs_ssh,
        )


class ClusterHandlers:
    """Answers about clusters."""

    def __init__(
        self,
        *,
        bus: Bus,
        unit: UnitOfWork,
        store: ClusterStore,
        identities: ClusterIdentities,
        records: Records,
        audit: AuditStore,
        secret_broker: SecretBroker,
        looks: Looks,
    ) -> None:
        self._bus = bus
        self._unit = unit
        self._store = store
        self._identities = identities
        self._records = records
        self._audit = audit
        self._secret_broker = secret_broker
        self._looks = looks

    async def add(self, query: AddCluster, call: Call) -> Cluster:
        """Test a cluster, then store it."""
        stored = await self._unit.stored_reply(call, "cluster.add", query, Cluster)
        if stored is not None:
            return stored
        rules.check(query.spec, _present(query.secrets))
        spec = rules.normal(query.spec)
        await self._identities.refuse_taken(spec)
        opened = self._received(query.secrets, owner=spec.name)
        facts = await self._test(TestOf(spec), opened)
        cluster = await self._identities.home_of(facts.identity) or new_id()
        secrets = self._sealed(opened, owner=cluster)

        async def decide(_tx: AsyncConnection) -> Decision[Cluster]:
            return decide_addition(cluster, query, secrets, facts)

        try:
            return await self._unit.once(call, "cluster.add", query, Cluster, decide)
        except IntegrityError as error:
            await self._identities.home_of(facts.identity)
            raise name_taken(spec.name) from error

    async def get(self, query: GetCluster, _call: Call) -> Cluster:
        """Return one."""
        return self._looks.cluster(await self._store.get(query.cluster))

    async def list(self, query: ListClusters, _call: Call) -> ClusterPage:
        """Return a page of them."""
        return self._looks.clusters(await self._store.list(limit=query.limit, cursor=query.cursor))

    async def maintain(self, query: SetMaintenance, call: Call) -> Cluster:
        """Switch a node's maintenance."""
        return await self._shown(await self._unit.run(call, lambda tx: decide_maintenance(tx, query)))

    async def set_vmids(self, query: SetVmidRange, call: Call) -> Cluster:
        """Set which VMIDs are chosen from."""
        if query.vmids is not None:
            defaults.check_range(query.vmids)
        changed = await self._unit.run(call, lambda tx: decide_vmid_range(tx, query.cluster, query.vmids))
        return await self._shown(changed)

    async def confirm(self, query: ConfirmHostKey, call: Call) -> Cluster:
        """Try a node's host key, then save it. Idempotent: a confirmed one is tried and saved once more."""
        cluster = await self._store.stored(query.cluster)
        refuse_unknown(cluster, query.node)
        reached = SshNode(address=query.address, port=query.port, host_key=query.host_key)
        spec = rules.confirmed(cluster.spec, query.node, reached)
        # Whether this one node can be reached is decided here, whatever becomes of the others.
        test = TestOf(defaults.with_addresses(spec, cluster.nodes), stored=cluster, needs_ssh=False)
        facts = await self._test(test, self._opened(cluster))
        rules.refuse_unreached(query.node, query.host_key, facts)
        access = spec.nodes[query.node]
        await self._unit.run(call, lambda tx: decide_host_key(tx, cluster.id, query.node, access, facts))
        return await self._store.get(cluster.id)

    async def change_access(self, query: ChangeClusterAccess, call: Call) -> Cluster:
        """Try another way to reach a cluster, then save it."""
        cluster = await self._store.stored(query.cluster)
        changes = rules.changes_of(query)
        spec = cluster.spec.model_copy(update=dict(changes))
        new = self._received(query.secrets, owner=query.cluster)
        stay = rules.stored_secrets(spec, cluster.secrets, new)
        opened = {name: secret for name, secret in self._opened(cluster).items() if name in stay} | new
        rules.check(spec, opened)
        spec = rules.normal(spec)
        await self._identities.refuse_taken(spec, own=cluster.id)
        needs_ssh = rules.changes_ssh(changes, new)
        test = TestOf(
            defaults.with_addresses(spec, cluster.nodes),
            stored=cluster,
            needs_ssh=needs_ssh,
            # What is to be believed from now on is tried by itself, not by what was learned before.
            is_believed_anew=bool({"tls_fingerprint", "ca"} & set(changes)),
        )
        facts = await self._test(test, opened)
        rules.refuse_another(cluster.identity, facts.identity, query.identity, name=cluster.spec.name)
        await self._identities.refuse_other(facts.identity, own=cluster.id)
        changes = {**changes, **{each: getattr(spec, each) for each in changes}}
        sealed = self._sealed(opened, owner=cluster.id)
        try:
            await self._unit.run(call, lambda tx: decide_access(tx, cluster.id, changes, sealed, facts))
        except IntegrityError:
            await self._identities.refuse_other(facts.identity, own=cluster.id)
            raise
        return await self._store.get(cluster.id)

    async def _shown(self, cluster: Id) -> Cluster:
        return self._looks.cluster(await self._store.get(cluster))

    def _received(self, secrets: ClusterSecrets, *, owner: str) -> dict[str, SecretStr]:
        return {
            field: self._secret_broker.receive(sealed, owner=owner, field=field)
            for field, sealed in _present(secrets).items()
        }

    def _opened(self, cluster: StoredCluster) -> dict[str, SecretStr]:
        return {
            field: self._secret_broker.vault.open(sealed, owner=cluster.id, field=field)
            for field, sealed in cluster.secrets.items()
        }

    def _sealed(self, opened: Mapping[str, SecretStr], *, owner: str) -> Mapping[str, str]:
        return {
            field: self._secret_broker.keep(secret, owner=owner, field=field)
            for field, secret in opened.items()
        }

    async def _test(self, test: TestOf, secrets: Mapping[str, SecretStr]) -> ClusterFacts:
        """Let monitor reach a cluster, and return what it saw."""
        passed_on = {
            field: self._secret_broker.sealer.seal(secret, to="monitor", owner=test.spec.name, field=field)
            for field, secret in secrets.items()
        }
        return await self._bus.ask(test.query(ClusterSecrets.model_validate(passed_on)))

    async def remove(self, query: RemoveCluster, call: Call) -> ClusterRemoval:
        """Remove a cluster, or return what that would be."""

        async def act() -> ClusterRemoval:
            if not query.is_plan:
                return await self._unit.once(call, "cluster.remove", query, ClusterRemoval, decide)
            decision = await self._unit.plan(decide)
            # What was removed before is returned as it was removed: nothing is left to write.
            return decision.reply.model_copy(update={"is_removed": not decision.writes})

        async def decide(tx: AsyncConnection) -> Decision[ClusterRemoval]:
            return await decide_removal(tx, query)

        try:
            return await act()
        except ClusterBusy as busy:
            # Their rows may lag behind: whoever saw them end may ask at once.
            if not all([await self._records.catch_up(job) for job in busy.jobs]):
                raise
        return await act()

    async def access(self, query: GetClusterAccess, _call: Call) -> ClusterAccess:
        """Return how a cluster is reached, its secrets sealed to who asked."""
        if query.seal_to not in MAY_REACH:
            raise Forbidden(f"{query.seal_to!r} may not reach hosts.", code="cluster.access-refused")
        cluster = await self._store.stored(query.cluster)
        secrets = {
            field: self._secret_broker.pass_on(sealed, owner=cluster.id, field=field, to=query.seal_to)
            for field, sealed in cluster.secrets.items()
        }
        return ClusterAccess(
            id=cluster.id,
            spec=defaults.with_addresses(cluster.spec, cluster.nodes),
            secrets=ClusterSecrets.model_validate(secrets),
            members=rules.member_endpoints(cluster.spec, cluster.doors),
        )

    async def audit(self, query: ListAudit, _call: Call) -> AuditPage:
        """Return the audit log."""
        return await self._audit.entries(limit=query.limit, cursor=query.cursor)

    async def node_observed(self, event: NodeObserved, _delivery: Delivery) -> None:
        """Store a node's facts. Idempotent: only newer ones are taken."""
        cluster, facts = event.cluster, event.facts
        identity = await self._unit.run(current(), lambda tx: decide_observation(tx, cluster, facts))
        if identity is not None:
            await self._identities.learn(cluster, identity)


def _present(secrets: ClusterSecrets) -> Mapping[str, Sealed]:
    fields = {name: getattr(secrets, name) for name in ClusterSecrets.model_fields}
    return {name: sealed for name, sealed in fields.items() if sealed is not None}
