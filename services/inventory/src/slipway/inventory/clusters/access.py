"""How clusters and nodes are reached: changed after a connection test, which is stored with the change."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.clusters import Cluster, ClusterChanged, ClusterFacts, ClusterSpec, SshNode
from slipway.contracts.message import Id
from slipway.inventory import audit
from slipway.inventory.clusters.identity import ClusterIdentities
from slipway.inventory.clusters.node_facts import keep_tested
from slipway.inventory.clusters.store import ClusterStore, find_cluster
from slipway.inventory.tables import clusters
from slipway.runtime.bus.call import Call
from slipway.runtime.database import outbox
from slipway.runtime.database.engine import Database
from slipway.runtime.process.ids import new_id


class AccessStore:
    """Changes how clusters are reached."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clusters = ClusterStore(database)

    async def confirm(
        self, call: Call, cluster: Id, node: str, reached: SshNode, facts: ClusterFacts
    ) -> Cluster:
        """Save how a node is reached, as it was tried, and what the connection test saw."""
        async with self._database.begin() as connection:
            row = await find_cluster(connection, cluster, for_update=True)
            nodes = {**ClusterSpec.model_validate(row.spec).nodes, node: reached}
            await _change(connection, row, {"nodes": nodes}, row.secrets, facts)
            told = {"cluster": row.name, "node": node, "host_key": str(reached.host_key)}
            await audit.note(connection, call, "node.host-key", f"{row.name}/{node}", "done", **told)
        return await self._clusters.get(row.id)

    async def change_access(
        self,
        call: Call,
        cluster: Id,
        changes: Mapping[str, object],
        secrets: Mapping[str, str],
        facts: ClusterFacts,
    ) -> Cluster:
        """Save how a cluster is reached, as it was tried, and what the connection test saw."""
        try:
            async with self._database.begin() as connection:
                row = await find_cluster(connection, cluster, for_update=True)
                await _change(connection, row, changes, secrets, facts)
                told = ", ".join(sorted({*changes, *secrets}))
                await audit.note(connection, call, "cluster.access", row.id, "done", name=row.name, has=told)
        except IntegrityError:
            await ClusterIdentities(self._database).refuse_other(facts.identity, own=cluster)
            raise
        return await self._clusters.get(row.id)


async def _change(
    connection: AsyncConnection,
    row: Row[Any],
    changes: Mapping[str, object],
    secrets: Mapping[str, str],
    facts: ClusterFacts,
) -> None:
    """Write a cluster's locked row anew, keep what was seen of it, and say that it is reached otherwise."""
    spec = ClusterSpec.model_validate(row.spec).model_copy(update=dict(changes))
    # A node that has left the cluster or was renamed is reached no more.
    there = {each.node for each in facts.nodes}
    nodes = {name: node for name, node in spec.nodes.items() if name in there}
    spec = spec.model_copy(update={"nodes": nodes})
    stored = {
        "identity": facts.identity or row.identity,
        "spec": spec.model_dump(mode="json"),
        "secrets": dict(secrets),
        "version": facts.version,
        "offered_host_keys": dict(facts.offered_host_keys),
    }
    await connection.execute(update(clusters).where(clusters.c.id == row.id).values(**stored))
    await keep_tested(connection, row.id, facts)
    changed = ClusterChanged(id=row.id, name=row.name)
    await outbox.add(connection, changed, message_id=f"cluster:{row.id}:changed:{new_id()}")
