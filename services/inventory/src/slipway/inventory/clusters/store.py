"""Clusters, their sealed secrets, and what was last seen of their nodes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.clusters import (
    AddCluster,
    Cluster,
    ClusterAdded,
    ClusterFacts,
    ClusterPage,
    ClusterSpec,
    NodeFacts,
    VmidRange,
)
from slipway.contracts.message import Id
from slipway.contracts.problems import FieldError, NotFound
from slipway.inventory import audit
from slipway.inventory.clusters.identity import STAYS, ClusterIdentities, name_taken
from slipway.inventory.clusters.node_facts import drop_nodes, facts_of, keep_facts
from slipway.inventory.clusters.rules import Door, normal
from slipway.inventory.containers import sight
from slipway.inventory.paging import page
from slipway.inventory.tables import clusters, nodes
from slipway.runtime.bus.call import Call
from slipway.runtime.database import outbox
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id


class NodeNotFound(NotFound):
    """The cluster has no such node."""

    code = "node.not-found"


class ClusterNotFound(NotFound):
    """There is no such cluster."""

    code = "cluster.not-found"


@dataclass(frozen=True, slots=True)
class KnownCluster:
    """A cluster with what is needed to decide on it."""

    id: Id
    spec: ClusterSpec
    secrets: Mapping[str, str]
    """Field to what the vault sealed."""
    nodes: tuple[NodeFacts, ...]
    in_maintenance: tuple[str, ...] = ()
    """Nodes in maintenance."""
    identity: str | None = None
    """What tells it from any other; None is not known yet."""
    doors: tuple[Door, ...] = ()


def refuse_unknown(known: KnownCluster, node: str) -> None:
    """Raise `NodeNotFound` unless the node was seen."""
    if node not in {each.node for each in known.nodes}:
        message = f"Cluster {known.spec.name} has no node {node!r}, or it has just joined: look again soon."
        raise NodeNotFound(message, errors=[FieldError(field="node", message=message)])


class ClusterStore:
    """Clusters and nodes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def done_before(self, call: Call, request: AddCluster) -> Cluster | None:
        """Give the reply that the same request under the same key got."""
        async with self._database.begin() as connection:
            return await audit.replayed(connection, call, "cluster.add", request, Cluster)

    async def add(
        self, call: Call, cluster: Id, request: AddCluster, secrets: Mapping[str, str], facts: ClusterFacts
    ) -> Cluster:
        """Save a cluster that was tested, with what the test saw."""
        spec = request.spec
        row = {
            "name": spec.name,
            "spec": normal(spec).model_dump(mode="json"),
            "secrets": dict(secrets),
            "version": facts.version,
            "offered_host_keys": dict(facts.offered_host_keys),
            "created_at": now(),
            "identity": facts.identity,
            "removed_at": None,
        }
        try:
            async with self._database.begin() as connection:
                await connection.execute(
                    upsert(clusters)
                    .values(id=cluster, **row)
                    .on_conflict_do_update(index_elements=["id"], set_=row)
                )
                for each in facts.nodes:
                    await keep_facts(connection, cluster, each)
                await audit.note(connection, call, "cluster.add", cluster, "done", name=spec.name)
                added = ClusterAdded(id=cluster, name=spec.name)
                await outbox.add(connection, added, message_id=f"cluster:{cluster}:added:{new_id()}")
                told = await _read(connection, cluster)
                await audit.remember(connection, call, "cluster.add", request, told)
                return told
        except IntegrityError as error:
            await ClusterIdentities(self._database).home_of(facts.identity)
            raise name_taken(spec.name) from error

    async def set_vmids(self, call: Call, wanted: str, vmids: VmidRange | None) -> Cluster:
        """Keep which VMIDs are chosen from; what exists keeps its own."""
        async with self._database.begin() as connection:
            row = await find_cluster(connection, wanted, for_update=True)
            spec = ClusterSpec.model_validate(row.spec).model_copy(update={"vmids": vmids})
            await connection.execute(
                update(clusters).where(clusters.c.id == row.id).values(spec=spec.model_dump(mode="json"))
            )
            told = f"{vmids.first}-{vmids.last}" if vmids else "all"
            await audit.note(connection, call, "cluster.vmid-range", row.id, "done", vmids=told)
        return await self.get(row.id)

    async def observe(self, cluster: Id, facts: NodeFacts) -> None:
        """Take what was seen of a node, unless something newer is known; one long gone is dropped."""
        async with self._database.begin() as connection:
            query = select(clusters.c.identity).where(clusters.c.id == cluster, STAYS)
            row = (await connection.execute(query)).first()
            if row is None:
                return
            if sight.is_over(facts):
                await drop_nodes(connection, cluster, facts.node)
                return
            await keep_facts(connection, cluster, facts)
        if row.identity is None and facts.cluster_identity is not None:
            await ClusterIdentities(self._database).learn(cluster, facts.cluster_identity)

    async def get(self, wanted: str) -> Cluster:
        """Give one cluster by id or name."""
        async with self._database.begin() as connection:
            return await _read(connection, wanted)

    async def list(self, *, limit: int, cursor: str | None) -> ClusterPage:
        """Give clusters by name."""
        query = select(clusters).where(STAYS).order_by(clusters.c.name).limit(limit + 1)
        if cursor is not None:
            query = query.where(clusters.c.name > cursor)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
            ids = [row.id for row in rows]
            seen, in_maintenance = await facts_of(connection, ids), await _in_maintenance(connection, ids)
        items, following = page(rows, limit, lambda row: _cluster(row, seen, in_maintenance), "name")
        return ClusterPage(items=items, next=following)

    async def known(self, wanted: str | None) -> KnownCluster:
        """Give a cluster to decide on; None takes the only one.

        Raises:
            ClusterNotFound: if there is none, or if the only one is not the only one; names the field.
        """
        async with self._database.begin() as connection:
            row = await (find_cluster(connection, wanted) if wanted else _only(connection))
            seen = await facts_of(connection, [row.id])
            in_maintenance = await _in_maintenance(connection, [row.id])
            doors = await _doors(connection, row.id)
        return KnownCluster(
            id=row.id,
            spec=ClusterSpec.model_validate(row.spec),
            secrets=row.secrets,
            nodes=tuple(seen.get(row.id, ())),
            in_maintenance=tuple(in_maintenance.get(row.id, ())),
            identity=row.identity,
            doors=doors,
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a cluster's nodes."""

    nodes: Sequence[NodeFacts] = ()
    in_maintenance: Sequence[str] = ()


async def seen_of(connection: AsyncConnection, ids: Collection[Id]) -> Mapping[Id, Seen]:
    """Give what is known of the nodes of clusters."""
    facts, in_maintenance = await facts_of(connection, ids), await _in_maintenance(connection, ids)
    return {each: Seen(facts.get(each, ()), in_maintenance.get(each, ())) for each in ids}


async def _read(connection: AsyncConnection, wanted: str) -> Cluster:
    row = await find_cluster(connection, wanted)
    return _cluster(row, await facts_of(connection, [row.id]), await _in_maintenance(connection, [row.id]))


async def find_cluster(connection: AsyncConnection, wanted: str, *, for_update: bool = False) -> Row[Any]:
    """Give a cluster's row by id or name."""
    query = select(clusters).where(STAYS, or_(clusters.c.id == wanted, clusters.c.name == wanted))
    row = (await connection.execute(query.with_for_update() if for_update else query)).first()
    if row is None:
        known = ", ".join(await _names(connection)) or "none"
        raise _not_found(f"There is no cluster {wanted!r}. Known ones: {known}.")
    return row


async def _only(connection: AsyncConnection) -> Row[Any]:
    rows = (await connection.execute(select(clusters).where(STAYS).limit(2))).all()
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise _not_found("There is no cluster yet; add one first (POST /api/v1/clusters).")
    known = ", ".join(await _names(connection))
    raise _not_found(f"There are several clusters; say which: {known}.")


async def _names(connection: AsyncConnection) -> Sequence[str]:
    found = await connection.scalars(select(clusters.c.name).where(STAYS).order_by(clusters.c.name).limit(20))
    return found.all()


async def _doors(connection: AsyncConnection, cluster: Id) -> tuple[Door, ...]:
    query = select(nodes.c.address, nodes.c.tls_fingerprint).where(
        nodes.c.cluster_id == cluster, nodes.c.address.is_not(None)
    )
    return tuple(Door(*row) for row in await connection.execute(query.order_by(nodes.c.node)))


async def _in_maintenance(connection: AsyncConnection, of: Collection[str]) -> Mapping[str, list[str]]:
    """Give the nodes in maintenance, by cluster."""
    found: dict[str, list[str]] = {}
    query = select(nodes.c.cluster_id, nodes.c.node).where(nodes.c.cluster_id.in_(of), nodes.c.in_maintenance)
    for row in await connection.execute(query.order_by(nodes.c.node)):
        found.setdefault(row.cluster_id, []).append(row.node)
    return found


def _cluster(
    row: Row[Any], seen: Mapping[str, list[NodeFacts]], in_maintenance: Mapping[str, list[str]]
) -> Cluster:
    spec = ClusterSpec.model_validate(row.spec)
    return Cluster(
        id=row.id,
        name=row.name,
        endpoint=spec.endpoint,
        endpoints=spec.endpoints,
        identity=row.identity,
        token_id=spec.token_id,
        username=spec.username,
        tls_fingerprint=spec.tls_fingerprint,
        version=row.version,
        nodes=tuple(seen.get(row.id, ())),
        in_maintenance=tuple(in_maintenance.get(row.id, ())),
        offered_host_keys=row.offered_host_keys,
        vmids=spec.vmids,
        created_at=row.created_at,
    )


def _not_found(message: str) -> ClusterNotFound:
    return ClusterNotFound(message, errors=[FieldError(field="cluster", message=message)])
