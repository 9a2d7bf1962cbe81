"""Clusters, their sealed secrets, and what was last seen of their nodes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.clusters import (
    Cluster,
    ClusterPage,
    ClusterSpec,
    NodeFacts,
)
from slipway.contracts.message import Id
from slipway.contracts.problems import FieldError, NotFound
from slipway.inventory.clusters.identity import STAYS, ClusterIdentities
from slipway.inventory.clusters.node_facts import delete_nodes, facts_of, store_facts
from slipway.inventory.clusters.rules import Door
from slipway.inventory.containers.sight import is_over
from slipway.inventory.decision import Write
from slipway.inventory.paging import page
from slipway.inventory.tables import clusters, nodes
from slipway.runtime.database.engine import Database


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

    async def observe(self, cluster: Id, facts: NodeFacts) -> None:
        """Take what was seen of a node, unless something newer is known; one long gone is dropped."""
        async with self._database.begin() as tx:
            query = select(clusters.c.identity).where(clusters.c.id == cluster, STAYS)
            row = (await tx.execute(query)).first()
            if row is None:
                return
            write = delete_nodes(cluster, facts.node) if is_over(facts) else store_facts(cluster, facts)
            await tx.execute(write.statement)
        if row.identity is None and facts.cluster_identity is not None:
            await ClusterIdentities(self._database).learn(cluster, facts.cluster_identity)

    async def get(self, wanted: str) -> Cluster:
        """Give one cluster by id or name."""
        async with self._database.begin() as tx:
            return await _read(tx, wanted)

    async def list(self, *, limit: int, cursor: str | None) -> ClusterPage:
        """Give clusters by name."""
        query = select(clusters).where(STAYS).order_by(clusters.c.name).limit(limit + 1)
        if cursor is not None:
            query = query.where(clusters.c.name > cursor)
        async with self._database.begin() as tx:
            rows = (await tx.execute(query)).all()
            ids = [row.id for row in rows]
            seen, in_maintenance = await facts_of(tx, ids), await _in_maintenance(tx, ids)

        def make(row: Row[Any]) -> Cluster:
            return cluster_of(row._asdict(), seen, in_maintenance)

        items, following = page(rows, limit, make, "name")
        return ClusterPage(items=items, next=following)

    async def known(self, wanted: str | None) -> KnownCluster:
        """Give a cluster to decide on; None takes the only one.

        Raises:
            ClusterNotFound: if there is none, or if the only one is not the only one; names the field.
        """
        async with self._database.begin() as tx:
            row = await (find_cluster(tx, wanted) if wanted else _only(tx))
            seen = await facts_of(tx, [row.id])
            in_maintenance = await _in_maintenance(tx, [row.id])
            doors = await _doors(tx, row.id)
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


async def seen_of(tx: AsyncConnection, ids: Collection[Id]) -> Mapping[Id, Seen]:
    """Give what is known of the nodes of clusters."""
    facts, in_maintenance = await facts_of(tx, ids), await _in_maintenance(tx, ids)
    return {each: Seen(facts.get(each, ()), in_maintenance.get(each, ())) for each in ids}


async def _read(tx: AsyncConnection, wanted: str) -> Cluster:
    row = await find_cluster(tx, wanted)
    seen, in_maintenance = await facts_of(tx, [row.id]), await _in_maintenance(tx, [row.id])
    return cluster_of(row._asdict(), seen, in_maintenance)


async def find_cluster(tx: AsyncConnection, wanted: str, *, for_update: bool = False) -> Row[Any]:
    """Give a cluster's row by id or name."""
    query = select(clusters).where(STAYS, or_(clusters.c.id == wanted, clusters.c.name == wanted))
    row = (await tx.execute(query.with_for_update() if for_update else query)).first()
    if row is None:
        known = ", ".join(await _names(tx)) or "none"
        raise _not_found(f"There is no cluster {wanted!r}. Known ones: {known}.")
    return row


async def removed_cluster(tx: AsyncConnection, cluster: str) -> Row[Any] | None:
    """Return the row of a removed cluster by its id, else by the last name it had."""
    query = select(clusters).where(
        clusters.c.removed_at.is_not(None), or_(clusters.c.id == cluster, clusters.c.name == cluster)
    )
    return (await tx.execute(query.order_by(clusters.c.removed_at.desc()).limit(1))).first()


async def is_removed(tx: AsyncConnection, cluster: Id) -> bool:
    """Return whether a cluster was removed."""
    return await tx.scalar(select(clusters.c.id).where(clusters.c.id == cluster, STAYS)) is None


def upsert_cluster(cluster: Id, row: Mapping[str, object]) -> Write:
    """Return the row of a cluster that is added, or added again."""
    statement = upsert(clusters).values(id=cluster, **row)
    return Write(statement=statement.on_conflict_do_update(index_elements=["id"], set_=row))


def update_cluster(cluster: Id, **changes: object) -> Write:
    """Return the change of a cluster's row."""
    return Write(statement=update(clusters).where(clusters.c.id == cluster).values(**changes))


def set_maintenance(cluster: Id, node: str, *, is_on: bool) -> Write:
    """Return the change of a node's maintenance."""
    same = (nodes.c.cluster_id == cluster, nodes.c.node == node)
    return Write(statement=update(nodes).where(*same).values(in_maintenance=is_on))


async def _only(tx: AsyncConnection) -> Row[Any]:
    rows = (await tx.execute(select(clusters).where(STAYS).limit(2))).all()
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise _not_found("There is no cluster yet; add one first (POST /api/v1/clusters).")
    known = ", ".join(await _names(tx))
    raise _not_found(f"There are several clusters; say which: {known}.")


async def _names(tx: AsyncConnection) -> Sequence[str]:
    found = await tx.scalars(select(clusters.c.name).where(STAYS).order_by(clusters.c.name).limit(20))
    return found.all()


async def _doors(tx: AsyncConnection, cluster: Id) -> tuple[Door, ...]:
    query = select(nodes.c.address, nodes.c.tls_fingerprint).where(
        nodes.c.cluster_id == cluster, nodes.c.address.is_not(None)
    )
    return tuple(Door(*row) for row in await tx.execute(query.order_by(nodes.c.node)))


async def _in_maintenance(tx: AsyncConnection, of: Collection[str]) -> Mapping[str, list[str]]:
    """Give the nodes in maintenance, by cluster."""
    found: dict[str, list[str]] = {}
    query = select(nodes.c.cluster_id, nodes.c.node).where(nodes.c.cluster_id.in_(of), nodes.c.in_maintenance)
    for row in await tx.execute(query.order_by(nodes.c.node)):
        found.setdefault(row.cluster_id, []).append(row.node)
    return found


def cluster_of(
    row: Mapping[str, Any],
    seen: Mapping[Id, Sequence[NodeFacts]],
    in_maintenance: Mapping[Id, Sequence[str]],
) -> Cluster:
    """Return a cluster of its row and of what is known of its nodes."""
    spec, cluster = ClusterSpec.model_validate(row["spec"]), row["id"]
    return Cluster(
        id=cluster,
        name=row["name"],
        endpoint=spec.endpoint,
        endpoints=spec.endpoints,
        identity=row["identity"],
        token_id=spec.token_id,
        username=spec.username,
        tls_fingerprint=spec.tls_fingerprint,
        version=row["version"],
        nodes=tuple(seen.get(cluster, ())),
        in_maintenance=tuple(in_maintenance.get(cluster, ())),
        offered_host_keys=row["offered_host_keys"],
        vmids=spec.vmids,
        created_at=row["created_at"],
    )


def _not_found(message: str) -> ClusterNotFound:
    return ClusterNotFound(message, errors=[FieldError(field="cluster", message=message)])
