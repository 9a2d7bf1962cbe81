"""The queue: a job waits as a row; its command enters the outbox when its node may begin it."""

from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.clusters import Cluster
from slipway.contracts.jobs import RunJob
from slipway.contracts.message import Id
from slipway.contracts.problems import FieldError, NotFound
from slipway.contracts.values import JobKind, JobState
from slipway.inventory.queueing import Entry, Limits, choose
from slipway.inventory.store import audit
from slipway.inventory.store.clusters import ClusterStore
from slipway.inventory.tables import jobs, nodes
from slipway.runtime import outbox
from slipway.runtime.call import Call
from slipway.runtime.clock import now
from slipway.runtime.database import Database

MOST_WAITING = 500
"""Of one node, looked at in one decision; who comes later waits for the next."""
ACTIVE = (JobState.QUEUED, JobState.RUNNING)


class NodeNotFound(NotFound):
    """The cluster has no such node."""

    code = "node.not-found"


class Queue:
    """Lets jobs begin."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits

    async def release(self, connection: AsyncConnection, cluster: Id, node: str) -> None:
        """Let begin what may begin on a node; who decides next about it waits until this is done."""
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"queue {cluster} {node}"))))
        resting = await connection.scalar(
            select(nodes.c.in_maintenance).where(nodes.c.cluster_id == cluster, nodes.c.node == node)
        )
        if resting:
            return
        here = (jobs.c.cluster_id == cluster, jobs.c.node == node, jobs.c.state.in_(ACTIVE))
        columns = (jobs.c.id, jobs.c.kind, jobs.c.actor, jobs.c.command)
        waiting = await connection.execute(
            select(*columns)
            .where(*here, jobs.c.released_at.is_(None))
            .order_by(jobs.c.id)
            .limit(MOST_WAITING)
        )
        commands: dict[str, Any] = {}
        entries = []
        for row in waiting:
            commands[row.id] = row.command
            entries.append(_entry(row))
        if not entries:
            return
        running = await connection.execute(select(*columns[:3]).where(*here, jobs.c.released_at.is_not(None)))
        for entry in choose(entries, [_entry(row) for row in running], self._limits):
            command = RunJob.model_validate(commands[entry.job])
            await connection.execute(update(jobs).where(jobs.c.id == entry.job).values(released_at=now()))
            await outbox.add(connection, command, message_id=f"job:{entry.job}:run")

    async def set_maintenance(self, call: Call, cluster: str, node: str, *, is_on: bool) -> Cluster:
        """Switch a node's maintenance; when it ends, what waits begins."""
        store = ClusterStore(self._database)
        known = await store.get(cluster)
        async with self._database.begin() as connection:
            changed = await connection.execute(
                update(nodes)
                .where(nodes.c.cluster_id == known.id, nodes.c.node == node)
                .values(in_maintenance=is_on)
            )
            if changed.rowcount == 0:
                message = f"Cluster {known.name} has no node {node!r}."
                raise NodeNotFound(message, errors=[FieldError(field="node", message=message)])
            action = f"maintenance.{'on' if is_on else 'off'}"
            await audit.note(connection, call, action, f"{known.name}/{node}", "done")
            await self.release(connection, known.id, node)
        return await store.get(known.id)


async def positions(connection: AsyncConnection, rows: list[Row[Any]]) -> dict[str, tuple[int, str]]:
    """Give where waiting jobs stand in the queue of their node, and what they wait for."""
    ids = [row.id for row in rows if row.state == JobState.QUEUED and row.released_at is None]
    if not ids:
        return {}
    place = func.row_number().over(partition_by=(jobs.c.cluster_id, jobs.c.node), order_by=jobs.c.id)
    waiting = (
        select(jobs.c.id, (place - 1).label("place"), nodes.c.in_maintenance)
        .join(nodes, (nodes.c.cluster_id == jobs.c.cluster_id) & (nodes.c.node == jobs.c.node))
        .where(jobs.c.state == JobState.QUEUED, jobs.c.released_at.is_(None))
        .subquery()
    )
    found = await connection.execute(select(waiting).where(waiting.c.id.in_(ids)))
    return {row.id: (row.place, "maintenance" if row.in_maintenance else "limit") for row in found}


def _entry(row: Any) -> Entry:
    return Entry(job=row.id, kind=JobKind(row.kind), actor=row.actor)
