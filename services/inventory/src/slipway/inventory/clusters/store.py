"""Clusters, their sealed secrets, and what was last seen of their nodes."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Text, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.cluster_settings import DENIED, NO_DEFAULTS, ClusterLimits, SiteDefaults
from slipway.contracts.clusters import Cluster, ClusterPage, ClusterSpec
from slipway.contracts.message import Id
from slipway.contracts.problems import NotFound
from slipway.inventory.decision import Write
from slipway.inventory.faults import at
from slipway.inventory.paging import page, require_cursor
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenNodes:
    """What is known of a cluster's nodes."""

    nodes: tuple[NodeFacts, ...] = ()
    in_maintenance: tuple[str, ...] = ()
    """Names of the nodes in maintenance."""
    doors: tuple[tuple[str, str | None], ...] = ()
    """Addresses and TLS fingerprints of the nodes' own APIs, as they were last known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCluster(SeenNodes):
    """A cluster with what is needed to decide on it."""

    id: Id
    spec: ClusterSpec
    secrets: Mapping[str, str]
    """Field to what the vault sealed."""
    identity: str | None
    """Its identity among all clusters; None is not known yet."""
    limits: ClusterLimits = DENIED
    """What its containers may use of their hosts."""
    site_defaults: SiteDefaults = NO_DEFAULTS
    """What new containers have where their requests say nothing."""


def refuse_unknown(cluster: StoredCluster, node: str) -> None:
    """Raise `NodeNotFound` unless the node was seen."""
    if node not in {each.node for each in cluster.nodes}:
        message = f"Cluster {cluster.spec.name} has no node {node!r}, or it has just joined: look again soon."
        raise at("node", NodeNotFound, message)


class ClusterStore:
    """Clusters and nodes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, cluster: str) -> Cluster:
        """Return one cluster by id or name."""
        async with self._database.autocommit() as tx:
            row = await find_cluster(tx, cluster)
            seen = await seen_of(tx, [row.id])
        return cluster_of(row._asdict(), seen[row.id])

    async def list(self, *, limit: int, cursor: str | None) -> ClusterPage:
        """Return clusters by name."""
        query = select(clusters).where(STAYS).order_by(clusters.c.name).limit(limit + 1)
        if cursor is not None:
            query = query.where(clusters.c.name > cursor)
        async with self._database.autocommit() as tx:
            await require_cursor(tx, clusters.c.name, cursor, STAYS)
            rows = (await tx.execute(query)).all()
            seen = await seen_of(tx, [row.id for row in rows])
        items, following = page(rows, limit, lambda row: cluster_of(row._asdict(), seen[row.id]), "name")
        return ClusterPage(items=items, next=following)

    async def stored(self, cluster: str | None) -> StoredCluster:
        """Return a cluster to decide on; None takes the only one.

        Raises:
            ClusterNotFound: if there is none, or if the only one is not the only one; names the field.
        """
        query = select(clusters, *(each.label(f"node_{each.name}") for each in nodes.c))
        query = query.outerjoin(nodes).where(STAYS).order_by(clusters.c.id, nodes.c.node)
        query = query.where(or_(clusters.c.id == cluster, clusters.c.name == cluster)) if cluster else query
        async with self._database.autocommit() as tx:
            rows = (await tx.execute(query)).all()
            if not rows or (cluster is None and rows[0].id != rows[-1].id):
                raise await _not_one(tx, cluster)
        row = rows[0]
        of_nodes = [each for each in rows if each.id == row.id and each.node_node is not None]
        seen = _seen_nodes(of_nodes, "node_")
        return StoredCluster(
            id=row.id,
            spec=ClusterSpec.model_validate(row.spec),
            secrets=row.secrets,
            identity=row.identity,
            limits=ClusterLimits.model_validate(row.limits),
            site_defaults=SiteDefaults.model_validate(row.site_defaults),
            nodes=seen.nodes,
            in_maintenance=seen.in_maintenance,
            doors=seen.doors,
        )


async def seen_of(tx: AsyncConnection, ids: Collection[Id]) -> Mapping[Id, SeenNodes]:
    """Return what is known of the nodes of each of these clusters."""
    rows_of: defaultdict[Id, list[Row[Any]]] = defaultdict(list)
    for row in await tx.execute(select(nodes).where(nodes.c.cluster_id.in_(ids)).order_by(nodes.c.node)):
        rows_of[row.cluster_id].append(row)
    return {each: _seen_nodes(rows_of[each]) for each in ids}


async def limits_of(tx: AsyncConnection, ids: Collection[Id]) -> Mapping[Id, ClusterLimits]:
    """Return what containers of each of these clusters may use of their hosts."""
    query = select(clusters.c.id, clusters.c.limits).where(clusters.c.id.in_(ids))
    return {row.id: ClusterLimits.model_validate(row.limits) for row in await tx.execute(query)}


def _seen_nodes(rows: Sequence[Row[Any]], prefix: str = "") -> SeenNodes:
    def column(row: Row[Any], name: str) -> Any:
        return getattr(row, prefix + name)

    doors = ((column(row, "address"), column(row, "tls_fingerprint")) for row in rows)
    return SeenNodes(
        nodes=tuple(NodeFacts.model_validate(column(row, "facts")) for row in rows),
        in_maintenance=tuple(column(row, "node") for row in rows if column(row, "in_maintenance")),
        doors=tuple((address, fingerprint) for address, fingerprint in doors if address is not None),
    )


def store_facts(cluster: Id, facts: NodeFacts) -> Write:
    """Return the write of what was seen of a node; something newer that is known stays."""
    seen = {"facts": facts.model_dump(mode="json"), "observed_at": facts.observed_at}
    # A node that is away does not report its address; the last known one stays.
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


async def find_cluster(tx: AsyncConnection, cluster: str, *, for_update: bool = False) -> Row[Any]:
    """Return a cluster's row by id or name."""
    query = select(clusters).where(STAYS, or_(clusters.c.id == cluster, clusters.c.name == cluster))
    row = (await tx.execute(query.with_for_update() if for_update else query)).first()
    if row is None:
        raise await _not_one(tx, cluster)
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


async def _not_one(tx: AsyncConnection, cluster: str | None) -> ClusterNotFound:
    """Return the refusal of a cluster that is not known, or of none where there is not just one."""
    names = ", ".join(await _names(tx))
    if cluster is not None:
        return _not_found(f"There is no cluster {cluster!r}. Known ones: {names or 'none'}.")
    if not names:
        return _not_found(
            "There is no cluster yet; connect one first: `slipway cluster connect ADDRESS`, with the address "
            "of a node (POST /api/v1/clusters)."
        )
    return _not_found(f"There are several clusters; say which: {names}.")


async def _names(tx: AsyncConnection) -> Sequence[str]:
    query = select(clusters.c.name).where(STAYS).order_by(clusters.c.name).limit(20)
    return (await tx.scalars(query)).all()


def cluster_of(row: Mapping[str, Any], seen: SeenNodes) -> Cluster:
    """Return a cluster by its row and what is known of its nodes."""
    spec = ClusterSpec.model_validate(row["spec"])
    known = {"nodes": seen.nodes, "in_maintenance": seen.in_maintenance}
    return Cluster.model_validate({**dict(spec), **row, **known})


def _not_found(message: str) -> ClusterNotFound:
    return at("cluster", ClusterNotFound, message)
