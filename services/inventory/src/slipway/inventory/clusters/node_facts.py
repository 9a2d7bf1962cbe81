"""What was last seen of nodes: newer facts replace older ones, whoever saw them."""

from collections.abc import Collection, Mapping

from sqlalchemy import Text, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.clusters import ClusterFacts, NodeFacts
from slipway.contracts.message import Id
from slipway.inventory.containers import sight
from slipway.inventory.tables import nodes


async def facts_of(connection: AsyncConnection, of: Collection[str]) -> Mapping[str, list[NodeFacts]]:
    """Give what is known of the nodes of clusters."""
    found: dict[str, list[NodeFacts]] = {}
    query = select(nodes).where(nodes.c.cluster_id.in_(of)).order_by(nodes.c.cluster_id, nodes.c.node)
    for row in await connection.execute(query):
        found.setdefault(row.cluster_id, []).append(NodeFacts.model_validate(row.facts))
    return found


async def keep_facts(connection: AsyncConnection, cluster: Id, facts: NodeFacts) -> None:
    """Keep what was seen of a node, unless something newer is known."""
    seen = {"facts": facts.model_dump(mode="json"), "observed_at": facts.observed_at}
    # A node that is away does not say where it is; what was known of that stays.
    door = {"address": facts.address, "tls_fingerprint": facts.tls_fingerprint}
    stored = {name: func.coalesce(literal(value, Text), nodes.c[name]) for name, value in door.items()}
    await connection.execute(
        upsert(nodes)
        .values(cluster_id=cluster, node=facts.node, **seen, **door)
        .on_conflict_do_update(
            index_elements=["cluster_id", "node"],
            set_={**seen, **stored},
            where=nodes.c.observed_at < facts.observed_at,
        )
    )


async def keep_tested(connection: AsyncConnection, cluster: Id, facts: ClusterFacts) -> None:
    """Keep what a test saw of a known cluster's nodes; those that it does not have any more are dropped."""
    known = {each.node: each for each in (await facts_of(connection, [cluster])).get(cluster, ())}
    for each in facts.nodes:
        seen = sight.over_known(each, known[each.node]) if each.node in known else each
        await keep_facts(connection, cluster, seen)
    await drop_nodes(connection, cluster, *(known.keys() - {each.node for each in facts.nodes}))


async def drop_nodes(connection: AsyncConnection, cluster: Id, *names: str) -> None:
    """Forget nodes that a cluster does not have any more."""
    await connection.execute(delete(nodes).where(nodes.c.cluster_id == cluster, nodes.c.node.in_(names)))
