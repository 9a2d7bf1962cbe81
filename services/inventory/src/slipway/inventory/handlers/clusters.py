"""Clusters: added after a test, listed, and handed to who may reach them."""

import re
from collections.abc import Mapping
from typing import Final

from slipway.contracts.clusters import (
    AddCluster,
    AuditPage,
    Cluster,
    ClusterAccess,
    ClusterPage,
    ClusterSecrets,
    ClusterSpec,
    GetCluster,
    GetClusterAccess,
    ListAudit,
    ListClusters,
    NodeObserved,
    SetMaintenance,
    SetVmidRange,
    TestCluster,
)
from slipway.contracts.problems import FieldError, Forbidden, Invalid
from slipway.contracts.values import Sealed
from slipway.inventory import domain
from slipway.inventory.credentials import Custody
from slipway.inventory.store.audit import AuditStore
from slipway.inventory.store.clusters import ClusterStore
from slipway.inventory.store.queue import Queue
from slipway.runtime.bus import Bus, Delivery
from slipway.runtime.call import Call
from slipway.runtime.ids import new_id

MAY_REACH: Final = ("provisioner", "monitor")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ENDPOINT = re.compile(r"https://[A-Za-z0-9._\[\]:-]+")


class ClusterInvalid(Invalid):
    """The cluster can't be as it was described."""

    code = "cluster.invalid"


class ClusterHandlers:
    """Answers about clusters."""

    def __init__(
        self, bus: Bus, store: ClusterStore, queue: Queue, trail: AuditStore, custody: Custody
    ) -> None:
        self._bus = bus
        self._store = store
        self._queue = queue
        self._trail = trail
        self._custody = custody

    async def add(self, query: AddCluster, call: Call) -> Cluster:
        """Test a cluster, then save it."""
        spec = query.spec
        _check(spec, query.secrets)
        await self._store.refuse_taken(spec.name)
        cluster = new_id()
        opened = {
            field: self._custody.receive(sealed, owner=spec.name, field=field)
            for field, sealed in _given(query.secrets).items()
        }
        passed_on = ClusterSecrets.model_validate(
            {
                field: self._custody.sealer.seal(secret, to="monitor", owner=spec.name, field=field)
                for field, secret in opened.items()
            }
        )
        facts = await self._bus.ask(TestCluster(spec=spec, secrets=passed_on))
        kept = {
            field: self._custody.keep(secret, owner=cluster, field=field) for field, secret in opened.items()
        }
        return await self._store.add(call, cluster, spec, kept, facts)

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
            domain.check_range(query.vmids)
        return await self._store.set_vmids(call, query.cluster, query.vmids)

    async def access(self, query: GetClusterAccess, _call: Call) -> ClusterAccess:
        """Hand out how a cluster is reached, sealed to who asked."""
        if query.seal_to not in MAY_REACH:
            raise Forbidden(f"{query.seal_to!r} may not reach hosts.", code="cluster.access-refused")
        known = await self._store.known(query.cluster)
        secrets = {
            field: self._custody.pass_on(kept, owner=known.id, field=field, to=query.seal_to)
            for field, kept in known.secrets.items()
        }
        spec = domain.with_addresses(known.spec, known.nodes)
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


def _check(spec: ClusterSpec, secrets: ClusterSecrets) -> None:
    faults = []
    if not _NAME.fullmatch(spec.name):
        faults.append(("name", "1 to 63 small letters, digits and hyphens."))
    if not _ENDPOINT.fullmatch(spec.endpoint):
        faults.append(("endpoint", "It is like https://host:8006, without a path."))
    if (spec.token_id is None) == (spec.username is None):
        faults.append(("token_id", "Give token_id with token_secret, or username with password."))
    elif spec.token_id is not None and secrets.token_secret is None:
        faults.append(("token_secret", "The token needs its secret."))
    elif spec.username is not None and secrets.password is None:
        faults.append(("password", "The user needs its password."))
    if secrets.ssh_password is None and secrets.ssh_private_key is None:
        faults.append(("ssh", "Give ssh.password or ssh.private_key: parts of the work need pct."))
    if faults:
        errors = [FieldError(field=field, message=message) for field, message in faults]
        told = "; ".join(f"{each.field}: {each.message}" for each in errors)
        raise ClusterInvalid(f"The cluster can't be added: {told}", errors=errors)
