"""What was last seen of nodes: newer facts replace older ones, whoever saw them."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Text, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.clusters import ClusterFacts, NodeFacts
from slipway.contracts.message import Id
from slipway.inventory.containers import sight
from slipway.inventory.decision import Write
from slipway.inventory.tables import nodes


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


async def store_tested(tx: AsyncConnection, cluster: Id, facts: ClusterFacts) -> Sequence[Write]:
    """Return the writes of what a test saw of a known cluster's nodes; those that left it are deleted."""
    before = {each.node: each for each in (await facts_of(tx, [cluster])).get(cluster, ())}
    writes = [
        store_facts(cluster, sight.over_known(each, before[each.node]) if each.node in before else each)
        for each in facts.nodes
    ]
    left = before.keys() - {each.node for each in facts.nodes}
    return [*writes, delete_nodes(cluster, *left)] if left else writes


def delete_nodes(cluster: Id, *names: str) -> Write:
    """Return the end of what is known of some nodes of a cluster; without names, of all."""
    some = (nodes.c.node.in_(names),) if names else ()
    return Write(statement=delete(nodes).where(nodes.c.cluster_id == cluster, *some))
