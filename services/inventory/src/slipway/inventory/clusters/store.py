"""Clusters, their sealed secrets, and what was last seen of their nodes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Text, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.clusters import Cluster, ClusterPage, ClusterSpec
from slipway.contracts.message import Id
from slipway.contracts.problems import FieldError, NotFound
from slipway.inventory.decision import Write
from slipway.inventory.paging import page
from slipway.inventory.tables import clusters, nodes
from slipway.runtime.database.engine import Database

STAYS = clusters.c.removed_at.is_(None)
"""A cluster that was not removed."""


class NodeNotFound(NotFound):
    """The cluster has no such node."""

    code = "node.not-found"


class ClusterNotFound(NotFound):
    """There is no such cluster."""

    code = "cluster.not-found"


@dataclass(frozen=True, slots=True)
class StoredCluster:
    """A cluster with what is needed to decide on it."""

    id: Id
    spec: ClusterSpec
    secrets: Mapping[str, str]
    """Field to what the vault sealed."""
    nodes: tuple[NodeFacts, ...]
    in_maintenance: tuple[str, ...] = ()
    """Nodes in maintenance."""
    identity: str | None = None
    """Its identity among all clusters; None is not known yet."""
    doors: tuple[tuple[str, str | None], ...] = ()
    """Addresses and TLS fingerprints of its nodes' own APIs, as they were last known."""


def refuse_unknown(cluster: StoredCluster, node: str) -> None:
    """Raise `NodeNotFound` unless the node was seen."""
    if node not in {each.node for each in cluster.nodes}:
        message = f"Cluster {cluster.spec.name} has no node {node!r}, or it has just joined: look again soon."
        raise NodeNotFound(message, errors=[FieldError(field="node", message=message)])


class ClusterStore:
    """Clusters and nodes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, cluster: str) -> Cluster:
        """Return one cluster by id or name."""
        async with self._database.begin() as tx:
            return await _read(tx, cluster)

    async def list(self, *, limit: int, cursor: str | None) -> ClusterPage:
        """Return clusters by name."""
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

    async def stored(self, cluster: str | None) -> StoredCluster:
        """Return a cluster to decide on; None takes the only one.

        Raises:
            ClusterNotFound: if there is none, or if the only one is not the only one; names the field.
        """
        async with self._database.begin() as tx:
            row = await (find_cluster(tx, cluster) if cluster else _only(tx))
            seen = await facts_of(tx, [row.id])
            in_maintenance = await _in_maintenance(tx, [row.id])
            doors = await _doors(tx, row.id)
        return StoredCluster(
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
    """Return what is known of the nodes of clusters."""
    facts, in_maintenance = await facts_of(tx, ids), await _in_maintenance(tx, ids)
    return {each: Seen(facts.get(each, ()), in_maintenance.get(each, ())) for each in ids}


async def facts_of(tx: AsyncConnection, ids: Collection[Id]) -> Mapping[Id, list[NodeFacts]]:
    """Return what is known of the nodes of clusters."""
    facts: dict[str, list[NodeFacts]] = {}
    query = select(nodes).where(nodes.c.cluster_id.in_(ids)).order_by(nodes.c.cluster_id, nodes.c.node)
    for row in await tx.execute(query):
        facts.setdefault(row.cluster_id, []).append(NodeFacts.model_validate(row.facts))
    return facts


def store_facts(cluster: Id, facts: NodeFacts) -> Write:
    """Return the write of what was seen of a node; something newer that is known stays."""
    seen = {"facts": facts.model_dump(mode="json"), "observed_at": facts.observed_at}
    # A node that is away does not say where it is; what was known of that stays.
    door = {"address": facts.address, "tls_fingerprint": facts.tls_fingerprint}
    stored = {name: func.coalesce(literal(value, Text), nodes.c[name]) for name, value in door.items()}
    return Write(
        statement=upsert(nodes)
        .values(cluster_id=cluster, node=facts.node, **seen, **door)
        .on_conflict_do_update(
            index_elements=["cluster_id", "node"],
            set_={**seen, **stored},
            where=nodes.c.observed_at < facts.observed_at,
        )
    )


def delete_nodes(cluster: Id, *names: str) -> Write:
    """Return the end of what is known of some nodes of a cluster; without names, of all."""
    some = (nodes.c.node.in_(names),) if names else ()
    return Write(statement=delete(nodes).where(nodes.c.cluster_id == cluster, *some))


async def _read(tx: AsyncConnection, cluster: str) -> Cluster:
    row = await find_cluster(tx, cluster)
    seen, in_maintenance = await facts_of(tx, [row.id]), await _in_maintenance(tx, [row.id])
    return cluster_of(row._asdict(), seen, in_maintenance)


async def find_cluster(tx: AsyncConnection, cluster: str, *, for_update: bool = False) -> Row[Any]:
    """Return a cluster's row by id or name."""
    query = select(clusters).where(STAYS, or_(clusters.c.id == cluster, clusters.c.name == cluster))
    row = (await tx.execute(query.with_for_update() if for_update else query)).first()
    if row is None:
        names = ", ".join(await _names(tx)) or "none"
        raise _not_found(f"There is no cluster {cluster!r}. Known ones: {names}.")
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
    names = ", ".join(await _names(tx))
    raise _not_found(f"There are several clusters; say which: {names}.")


async def _names(tx: AsyncConnection) -> Sequence[str]:
    query = select(clusters.c.name).where(STAYS).order_by(clusters.c.name).limit(20)
    return (await tx.scalars(query)).all()


async def _doors(tx: AsyncConnection, cluster: Id) -> tuple[tuple[str, str | None], ...]:
    query = select(nodes.c.address, nodes.c.tls_fingerprint).where(
        nodes.c.cluster_id == cluster, nodes.c.address.is_not(None)
    )
    return tuple((row.address, row.tls_fingerprint) for row in await tx.execute(query.order_by(nodes.c.node)))


async def _in_maintenance(tx: AsyncConnection, ids: Collection[str]) -> Mapping[str, list[str]]:
    """Return the nodes in maintenance, by cluster."""
    names_of: dict[str, list[str]] = {}
    query = select(nodes.c.cluster_id, nodes.c.node).where(
        nodes.c.cluster_id.in_(ids), nodes.c.in_maintenance
    )
    for row in await tx.execute(query.order_by(nodes.c.node)):
        names_of.setdefault(row.cluster_id, []).append(row.node)
    return names_of


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
