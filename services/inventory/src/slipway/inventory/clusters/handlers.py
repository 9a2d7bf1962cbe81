"""Clusters: added and changed after a test, listed, and their access passed to services that reach hosts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.cluster_facts import ClusterFacts, NodeObserved
from slipway.contracts.cluster_removal import ClusterRemoval, RemoveCluster
from slipway.contracts.clusters import (
    AddCluster,
    ChangeClusterAccess,
    CheckCluster,
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
from slipway.inventory.clusters import rules
from slipway.inventory.clusters.identity import ClusterIdentities, name_taken
from slipway.inventory.clusters.store import ClusterStore, StoredCluster, refuse_unknown
from slipway.inventory.clusters.use_cases import (
    ClusterBusy,
    decide_access,
    decide_addition,
    decide_check,
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

ResultT = TypeVar("ResultT")
MAY_REACH: Final = ("provisioner", "monitor")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterHandlers:
    """Answers about clusters."""

    bus: Bus
    unit: UnitOfWork
    store: ClusterStore
    identities: ClusterIdentities
    records: Records
    secret_broker: SecretBroker
    looks: Looks

    async def add(self, query: AddCluster, call: Call) -> Cluster:
        """Test a cluster, then store it."""
        stored = await self.unit.stored_reply(call, "cluster.add", query)
        if stored is not None:
            return stored
        rules.check(query.spec, _present(query.secrets))
        _check_vmids(query.spec)
        spec = rules.normal(query.spec)
        await self.identities.refuse_taken(spec)
        opened = self._received(query.secrets, owner=spec.name)
        test = TestCluster(spec=spec, secrets=ClusterSecrets(), is_anyway=query.is_anyway)
        facts = await self._test(test, opened)
        cluster = await self.identities.home_of(facts.identity) or new_id()
        secrets = self._sealed(opened, owner=cluster)

        async def decide(tx: AsyncConnection) -> Decision[Cluster]:
            await self.identities.claim(tx, spec, own=cluster)
            return decide_addition(cluster, query, secrets, facts)

        try:
            return await self.unit.once(call, "cluster.add", query, decide)
        except IntegrityError as error:
            await self.identities.home_of(facts.identity)
            raise name_taken(spec.name) from error

    async def get(self, query: GetCluster, _call: Call) -> Cluster:
        """Return one."""
        return self.looks.cluster(await self.store.get(query.cluster))

    async def list(self, query: ListClusters, _call: Call) -> ClusterPage:
        """Return a page of them."""
        return self.looks.clusters(await self.store.list(limit=query.limit, cursor=query.cursor))

    async def maintain(self, query: SetMaintenance, call: Call) -> Cluster:
        """Switch a node's maintenance."""
        return await self._shown(await self.unit.run(call, lambda tx: decide_maintenance(tx, query)))

    async def set_vmids(self, query: SetVmidRange, call: Call) -> Cluster:
        """Set which VMIDs are chosen from."""
        if query.vmids is not None:
            defaults.check_range(query.vmids)
        changed = await self.unit.run(call, lambda tx: decide_vmid_range(tx, query.cluster, query.vmids))
        return await self._shown(changed)

    async def confirm(self, query: ConfirmHostKey, call: Call) -> Cluster:
        """Try a node's host key, then save it. Idempotent: a confirmed one is tried and saved once more."""
        cluster = await self.store.stored(query.cluster)
        refuse_unknown(cluster, query.node)
        reached = SshNode(address=query.address, port=query.port, host_key=query.host_key)
        spec = rules.confirmed(cluster.spec, query.node, reached)
        # Whether this one node can be reached is decided here, whatever becomes of the others.
        facts = await self._test(_test_of(cluster, spec, needs_ssh=False), self._opened(cluster))
        rules.refuse_unreached(query.node, query.host_key, facts)
        access = spec.nodes[query.node]
        await self.unit.run(call, lambda tx: decide_host_key(tx, cluster.id, query.node, access, facts))
        return await self.store.get(cluster.id)

    async def check(self, query: CheckCluster, call: Call) -> Cluster:
        """Test a cluster as it is stored."""
        cluster = await self.store.stored(query.cluster)
        test = _test_of(cluster, cluster.spec, needs_ssh=True).model_copy(update={"is_anyway": True})
        facts = await self._test(test, self._opened(cluster))
        await self.unit.run(call, lambda tx: decide_check(tx, cluster.id, facts))
        return (await self._shown(cluster.id)).model_copy(update={"checks": facts.checks})

    async def change_access(self, query: ChangeClusterAccess, call: Call) -> Cluster:
        """Try another way to reach a cluster, then save it."""
        cluster = await self.store.stored(query.cluster)
        changes = rules.changes_of(query, cluster.spec)
        spec = cluster.spec.model_copy(update=dict(changes))
        new = self._received(query.secrets, owner=query.cluster)
        stay = rules.stored_secrets(spec, cluster.secrets, new)
        opened = {name: secret for name, secret in self._opened(cluster).items() if name in stay} | new
        rules.check(spec, opened)
        _check_vmids(spec)
        spec = rules.normal(spec)
        await self.identities.refuse_taken(spec, own=cluster.id)
        test = _test_of(
            cluster,
            spec,
            needs_ssh=rules.changes_ssh(changes, new),
            # A new fingerprint or CA is tried by itself, without certificates that were learned before.
            is_believed_anew=bool({"tls_fingerprint", "ca"} & set(changes)),
        )
        facts = await self._test(test, opened)
        rules.refuse_another(cluster.identity, facts.identity, query.identity, name=cluster.spec.name)
        await self.identities.refuse_other(facts.identity, own=cluster.id)
        changes = {**changes, **{each: getattr(spec, each) for each in changes}}
        sealed = self._sealed(opened, owner=cluster.id)

        async def decide(tx: AsyncConnection) -> Decision[Id]:
            await self.identities.claim(tx, spec, own=cluster.id)
            return await decide_access(tx, cluster.id, changes, sealed, facts)

        try:
            await self.unit.run(call, decide)
        except IntegrityError:
            await self.identities.refuse_other(facts.identity, own=cluster.id)
            raise
        return (await self.store.get(cluster.id)).model_copy(update={"checks": facts.checks})

    async def _shown(self, cluster: Id) -> Cluster:
        return self.looks.cluster(await self.store.get(cluster))

    def _received(self, secrets: ClusterSecrets, *, owner: str) -> dict[str, SecretStr]:
        return _by_field(self.secret_broker.receive, _present(secrets), owner=owner)

    def _opened(self, cluster: StoredCluster) -> dict[str, SecretStr]:
        return _by_field(self.secret_broker.vault.open, cluster.secrets, owner=cluster.id)

    def _sealed(self, opened: Mapping[str, SecretStr], *, owner: str) -> Mapping[str, str]:
        return _by_field(self.secret_broker.keep, opened, owner=owner)

    async def _test(self, test: TestCluster, secrets: Mapping[str, SecretStr]) -> ClusterFacts:
        """Let monitor reach a cluster with these secrets, and return what it saw."""
        sealed = _by_field(self.secret_broker.sealer.seal, secrets, to="monitor", owner=test.spec.name)
        return await self.bus.ask(test.model_copy(update={"secrets": ClusterSecrets.model_validate(sealed)}))

    async def remove(self, query: RemoveCluster, call: Call) -> ClusterRemoval:
        """Remove a cluster, or return what that would be."""

        async def act() -> ClusterRemoval:
            if not query.is_plan:
                return await self.unit.once(
                    call, "cluster.remove", query, lambda tx: decide_removal(tx, query)
                )
            decision = await self.unit.plan(lambda tx: decide_removal(tx, query))
            # A cluster that was removed before has nothing left to write.
            return decision.reply.model_copy(update={"is_removed": not decision.writes})

        try:
            return await act()
        except ClusterBusy as busy:
            # Their rows may lag behind: a client that saw them end may ask at once.
            if not all([await self.records.catch_up(job) for job in busy.jobs]):
                raise
        return await act()

    async def access(self, query: GetClusterAccess, _call: Call) -> ClusterAccess:
        """Return how a cluster is reached, with its secrets sealed to the asking service."""
        if query.seal_to not in MAY_REACH:
            raise Forbidden(f"{query.seal_to!r} may not reach hosts.", code="cluster.access-refused")
        cluster = await self.store.stored(query.cluster)
        pass_on = self.secret_broker.pass_on
        secrets = _by_field(pass_on, cluster.secrets, owner=cluster.id, to=query.seal_to)
        return ClusterAccess(
            id=cluster.id,
            spec=defaults.with_addresses(cluster.spec, cluster.nodes),
            secrets=ClusterSecrets.model_validate(secrets),
            members=rules.member_endpoints(cluster.spec, cluster.doors),
            limits=cluster.limits,
        )

    async def node_observed(self, event: NodeObserved, _delivery: Delivery) -> None:
        """Store a node's facts. Idempotent: only newer ones are taken."""
        cluster, facts = event.cluster, event.facts
        identity = await self.unit.run(current(), lambda tx: decide_observation(tx, cluster, facts))
        if identity is not None:
            await self.identities.learn(cluster, identity)


def _check_vmids(spec: ClusterSpec) -> None:
    if spec.vmids is not None:
        defaults.check_range(spec.vmids, under="vmids.")


def _present(secrets: ClusterSecrets) -> Mapping[str, Sealed]:
    return {name: sealed for name, sealed in secrets if sealed is not None}


def _by_field(
    act: Callable[..., ResultT], secrets: Mapping[str, object], **options: str
) -> dict[str, ResultT]:
    """Return the result of `act` for each secret; it gets the secret, its field and the options."""
    return {field: act(secret, field=field, **options) for field, secret in secrets.items()}


def _test_of(
    cluster: StoredCluster, spec: ClusterSpec, *, needs_ssh: bool, is_believed_anew: bool = False
) -> TestCluster:
    """Return the test of another way to reach a cluster; its secrets are still missing.

    Args:
        cluster: as it is stored.
        spec: as it is to be reached.
        needs_ssh: whether an SSH login has to work.
        is_believed_anew: whether what was learned of its nodes' certificates does not count.
    """
    reached = defaults.with_addresses(spec, cluster.nodes)
    return TestCluster(
        spec=reached,
        secrets=ClusterSecrets(),
        is_known=True,
        members=() if is_believed_anew else rules.member_endpoints(reached, cluster.doors),
        known_endpoints=(cluster.spec.endpoint, *cluster.spec.endpoints),
        needs_ssh=needs_ssh,
    )
