"""Changes of clusters: addition, access, host keys, VMID range, maintenance, observations, removal.

The row of a removed cluster stays, since containers and jobs of before point at it, and since its containers
come back when the same cluster is added again. No job can begin there meanwhile: a creation takes the lock of
the cluster's names and reads whether it was removed, and any other job locks the row of its container.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.cluster_facts import ClusterFacts, NodeFacts, VmidRange
from slipway.contracts.cluster_removal import ClusterRemoval, ClusterRemoved, HeldContainer, RemoveCluster
from slipway.contracts.clusters import (
    AddCluster,
    Cluster,
    ClusterAdded,
    ClusterChanged,
    ClusterSpec,
    SetMaintenance,
    SshNode,
)
from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict
from slipway.contracts.values import Lifecycle
from slipway.inventory.clusters.rules import left_there, normal
from slipway.inventory.clusters.store import (
    STAYS,
    ClusterNotFound,
    NodeNotFound,
    SeenNodes,
    cluster_of,
    delete_nodes,
    find_cluster,
    removed_cluster,
    seen_of,
    set_maintenance,
    store_facts,
    update_cluster,
    upsert_cluster,
)
from slipway.inventory.containers.claims import lock_names
from slipway.inventory.containers.lifecycle import HOLDING, Trigger
from slipway.inventory.containers.sight import is_over, over_stored
from slipway.inventory.containers.use_cases import forgotten, move
from slipway.inventory.decision import AuditNote, Decision, Write
from slipway.inventory.faults import at
from slipway.inventory.tables import ACTIVE, clusters, containers, jobs, nodes
from slipway.runtime.database.outbox import Outgoing
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id

_MOST_NAMED = 20
"""Jobs that are named when a cluster can't be removed."""


class ClusterBusy(Conflict):
    """Jobs wait or run in the cluster."""

    code = "cluster.busy"

    @property
    def jobs(self) -> list[str]:
        """Those that are named."""
        return self.details["jobs"].split(",")


def decide_addition(
    cluster: Id, request: AddCluster, secrets: Mapping[str, str], facts: ClusterFacts
) -> Decision[Cluster]:
    """Store a cluster that was tested, with what the test saw."""
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
        "failed_checks": list(facts.failed_checks),
    }
    seen = sorted(facts.nodes, key=lambda each: each.node)
    return Decision(
        reply=cluster_of({"id": cluster, **row, "checks": facts.checks}, SeenNodes(nodes=tuple(seen))),
        writes=[upsert_cluster(cluster, row), *(store_facts(cluster, each) for each in facts.nodes)],
        events=[_fact(ClusterAdded(id=cluster, name=spec.name), "added")],
        audit=[AuditNote(action="cluster.add", target=cluster, details=_tested(spec.name, facts))],
    )


async def decide_check(tx: AsyncConnection, cluster: Id, facts: ClusterFacts) -> Decision[Id]:
    """Store what a test of a cluster as it is has come to: its marks and, if it went through, its facts."""
    row = await find_cluster(tx, cluster, for_update=True)
    note = AuditNote(action="cluster.check", target=row.id, details=_tested(row.name, facts))
    if facts.failed_checks:
        writes = [update_cluster(row.id, failed_checks=list(facts.failed_checks))]
        return Decision(reply=row.id, writes=writes, audit=[note])
    return await _changed(tx, row, {}, row.secrets, facts, note=note)


async def decide_vmid_range(tx: AsyncConnection, cluster: str, vmids: VmidRange | None) -> Decision[Id]:
    """Store which VMIDs are chosen from; existing containers keep theirs."""
    row = await find_cluster(tx, cluster, for_update=True)
    spec = ClusterSpec.model_validate(row.spec).model_copy(update={"vmids": vmids})
    details = {"vmids": f"{vmids.first}-{vmids.last}" if vmids else "all"}
    return Decision(
        reply=row.id,
        writes=[update_cluster(row.id, spec=spec.model_dump(mode="json"))],
        audit=[AuditNote(action="cluster.vmid-range", target=row.id, details=details)],
    )


async def decide_maintenance(tx: AsyncConnection, request: SetMaintenance) -> Decision[Id]:
    """Switch a node's maintenance; waiting jobs begin when it ends."""
    row, node = await find_cluster(tx, request.cluster), request.node
    query = select(nodes.c.node).where(nodes.c.cluster_id == row.id, nodes.c.node == node)
    if await tx.scalar(query.with_for_update()) is None:
        raise at("node", NodeNotFound, f"Cluster {row.name} has no node {node!r}.")
    action = f"maintenance.{'on' if request.is_on else 'off'}"
    return Decision(
        reply=row.id,
        writes=[set_maintenance(row.id, node, is_on=request.is_on)],
        released=[(row.id, node)],
        audit=[AuditNote(action=action, target=f"{row.name}/{node}")],
    )


async def decide_host_key(
    tx: AsyncConnection, cluster: Id, node: str, access: SshNode, facts: ClusterFacts
) -> Decision[Id]:
    """Store how a node is reached, as it was tested, and what the connection test saw."""
    row = await find_cluster(tx, cluster, for_update=True)
    changes = {"nodes": {**ClusterSpec.model_validate(row.spec).nodes, node: access}}
    details = {"cluster": row.name, "node": node, "host_key": str(access.host_key)}
    note = AuditNote(action="node.host-key", target=f"{row.name}/{node}", details=details)
    return await _changed(tx, row, changes, row.secrets, facts, note=note)


async def decide_access(
    tx: AsyncConnection,
    cluster: Id,
    changes: Mapping[str, object],
    secrets: Mapping[str, str],
    facts: ClusterFacts,
) -> Decision[Id]:
    """Store how a cluster is reached, as it was tested, and what the connection test saw."""
    row = await find_cluster(tx, cluster, for_update=True)
    details = {"name": row.name, "has": ", ".join(sorted({*changes, *secrets}))}
    note = AuditNote(action="cluster.access", target=row.id, details=details)
    return await _changed(tx, row, changes, secrets, facts, note=note)


async def decide_observation(tx: AsyncConnection, cluster: Id, facts: NodeFacts) -> Decision[str | None]:
    """Store what was seen of a node, unless something newer is stored; one long gone is deleted.

    Return the cluster's identity if it was not known until now.
    """
    query = select(clusters.c.identity).where(clusters.c.id == cluster, STAYS)
    row = (await tx.execute(query)).first()
    if row is None:
        return Decision(reply=None)
    if is_over(facts):
        return Decision(reply=None, writes=[delete_nodes(cluster, facts.node)])
    identity = facts.cluster_identity if row.identity is None else None
    return Decision(reply=identity, writes=[store_facts(cluster, facts)])


async def decide_removal(tx: AsyncConnection, request: RemoveCluster) -> Decision[ClusterRemoval]:
    """Remove a cluster: its containers are forgotten, its secrets deleted, its name is free.

    Idempotent: a cluster that is removed already is returned with what it held.

    Raises:
        ClusterBusy: if jobs wait or run there; names them.
    """
    try:
        row = await find_cluster(tx, request.cluster, for_update=True)
    except ClusterNotFound:
        removal = await _removed(tx, request.cluster)
        if removal is None:
            raise
        return Decision(reply=removal)
    lives = select(containers).where(
        containers.c.cluster_id == row.id, containers.c.lifecycle != Lifecycle.DELETED
    )
    held = (await tx.execute(lives.order_by(containers.c.id).with_for_update())).all()
    await lock_names(tx, row.id)
    await _refuse_busy(tx, row)
    # One that is neither ready nor failed has no job any more, and is only left.
    holding = [each for each in held if each.lifecycle in HOLDING]
    details = {"name": row.name, "containers": str(len(held))}
    return Decision(
        reply=await _removal(tx, row, held),
        writes=[
            *(move(each, Trigger.FORGOTTEN) for each in holding),
            delete_nodes(row.id),
            update_cluster(row.id, removed_at=now(), secrets={}, offered_host_keys={}, limits={}),
        ],
        events=[
            *map(forgotten, holding),
            _fact(ClusterRemoved(id=row.id, name=row.name), "removed"),
        ],
        audit=[AuditNote(action="cluster.remove", target=row.id, details=details)],
    )


def _tested(name: str, facts: ClusterFacts) -> Mapping[str, str]:
    """Return an audit entry's details of a test."""
    failed = ", ".join(facts.failed_checks)
    return {"name": name} | ({"failed_checks": failed} if failed else {})


async def _changed(
    tx: AsyncConnection,
    row: Row[Any],
    changes: Mapping[str, object],
    secrets: Mapping[str, str],
    facts: ClusterFacts,
    *,
    note: AuditNote,
) -> Decision[Id]:
    """Change a cluster's locked row and what was seen of its nodes."""
    spec = ClusterSpec.model_validate(row.spec).model_copy(update=dict(changes))
    # A node that has left the cluster or was renamed is reached no more.
    there = {each.node for each in facts.nodes}
    access = {name: node for name, node in spec.nodes.items() if name in there}
    change = update_cluster(
        row.id,
        identity=facts.identity or row.identity,
        spec=spec.model_copy(update={"nodes": access}).model_dump(mode="json"),
        secrets=dict(secrets),
        version=facts.version,
        offered_host_keys=dict(facts.offered_host_keys),
        failed_checks=list(facts.failed_checks),
    )
    return Decision(
        reply=row.id,
        writes=[change, *await _store_tested(tx, row.id, facts)],
        events=[_fact(ClusterChanged(id=row.id, name=row.name), "changed")],
        audit=[note],
    )


async def _store_tested(tx: AsyncConnection, cluster: Id, facts: ClusterFacts) -> Sequence[Write]:
    """Return the writes of what a test saw of a known cluster's nodes; those that left it are deleted."""
    before = {each.node: each for each in (await seen_of(tx, [cluster]))[cluster].nodes}
    writes = [
        store_facts(cluster, over_stored(each, before[each.node]) if each.node in before else each)
        for each in facts.nodes
    ]
    left = before.keys() - {each.node for each in facts.nodes}
    return [*writes, delete_nodes(cluster, *left)] if left else writes


async def _refuse_busy(tx: AsyncConnection, row: Row[Any]) -> None:
    query = select(jobs.c.id).where(jobs.c.cluster_id == row.id, jobs.c.state.in_(ACTIVE))
    active = (await tx.scalars(query.order_by(jobs.c.id))).all()
    if active:
        more = f" and {len(active) - _MOST_NAMED} more" if len(active) > _MOST_NAMED else ""
        raise ClusterBusy(
            f"Jobs wait or run in cluster {row.name}: {', '.join(active[:_MOST_NAMED])}{more}. Wait for "
            "their end, or cancel them (POST /api/v1/jobs/{job}/cancel); then remove it.",
            jobs=",".join(active[:_MOST_NAMED]),
            cluster=row.name,
        )


async def _removal(tx: AsyncConnection, row: Row[Any], held: Sequence[Row[Any]]) -> ClusterRemoval:
    names = await tx.scalars(select(nodes.c.node).where(nodes.c.cluster_id == row.id).order_by(nodes.c.node))
    ended = select(func.count()).select_from(jobs)
    ended = ended.where(jobs.c.cluster_id == row.id, jobs.c.state.not_in(ACTIVE))
    return ClusterRemoval(
        cluster=row.id,
        name=row.name,
        is_removed=True,
        containers=tuple(
            HeldContainer(id=each.id, vmid=each.vmid, hostname=each.hostname, node=each.node) for each in held
        ),
        nodes=tuple(names),
        finished_jobs=await tx.scalar(ended) or 0,
        **left_there(ClusterSpec.model_validate(row.spec)),
    )


async def _removed(tx: AsyncConnection, cluster: str) -> ClusterRemoval | None:
    """Return what a cluster held that was removed before."""
    row = await removed_cluster(tx, cluster)
    if row is None:
        return None
    held = containers.c.cluster_id == row.id, containers.c.forgotten_as.is_not(None)
    query = select(containers).where(*held)
    return await _removal(tx, row, (await tx.execute(query.order_by(containers.c.id))).all())


def _fact(event: ClusterAdded | ClusterChanged | ClusterRemoved, name: str) -> Outgoing:
    return Outgoing(message=event, message_id=f"cluster:{event.id}:{name}:{new_id()}")
