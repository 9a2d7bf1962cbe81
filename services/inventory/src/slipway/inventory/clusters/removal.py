"""A cluster is taken out: its containers are forgotten, its secrets destroyed, its name is free.

The row stays, since containers and jobs of before point at it, and since its containers come back when the
same cluster is added again. No job can begin there meanwhile: whoever makes a container takes the lock of the
cluster's names and looks whether it is still looked after, whoever works on one locks its row.
"""

from typing import Any

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.cluster_removal import (
    ClusterRemoval,
    ClusterRemoved,
    HeldContainer,
    RemoveCluster,
)
from slipway.contracts.containers import ContainerForgotten
from slipway.contracts.problems import Conflict
from slipway.contracts.values import Lifecycle
from slipway.inventory import audit
from slipway.inventory.clusters.store import ClusterNotFound, find_cluster
from slipway.inventory.containers.claims import move
from slipway.inventory.containers.lifecycle import HOLDING, Trigger
from slipway.inventory.containers.names import lock_names
from slipway.inventory.jobs.queue import ACTIVE
from slipway.inventory.tables import clusters, containers, jobs, nodes
from slipway.runtime.bus.call import Call
from slipway.runtime.database import outbox
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id

_ACTION = "cluster.remove"
_TOLD = 20
"""Jobs that are named when a cluster can't be removed."""


class ClusterBusy(Conflict):
    """Jobs wait or run in the cluster."""

    code = "cluster.busy"

    @property
    def jobs(self) -> list[str]:
        """Those that are named."""
        return self.details["jobs"].split(",")


class RemovalStore:
    """Takes clusters out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def plan(self, query: RemoveCluster) -> ClusterRemoval:
        """Tell what a cluster holds, or held if it is removed already.

        Raises:
            ClusterBusy: if it could not be removed now; names the jobs.
        """
        async with self._database.begin() as connection:
            try:
                row = await find_cluster(connection, query.cluster)
            except ClusterNotFound:
                gone = await _removed(connection, query.cluster)
                if gone is None:
                    raise
                return gone
            await _refuse_busy(connection, row)
            return await _held(connection, row, await _containers(connection, row), is_removed=False)

    async def remove(self, call: Call, query: RemoveCluster) -> ClusterRemoval:
        """Take a cluster out. Idempotent: of one that is gone already, what it held is told again.

        Raises:
            ClusterBusy: if jobs wait or run there; names them.
        """
        async with self._database.begin() as connection:
            done = await audit.replayed(connection, call, _ACTION, query, ClusterRemoval)
            if done is not None:
                return done
            try:
                row = await find_cluster(connection, query.cluster, for_update=True)
            except ClusterNotFound:
                gone = await _removed(connection, query.cluster)
                if gone is None:
                    raise
                return gone
            held = await _containers(connection, row, for_update=True)
            await lock_names(connection, row.id)
            await _refuse_busy(connection, row)
            removal = await _held(connection, row, held, is_removed=True)
            for each in held:
                await _forget(connection, each)
            await connection.execute(delete(nodes).where(nodes.c.cluster_id == row.id))
            left = {"removed_at": now(), "secrets": {}, "offered_host_keys": {}}
            await connection.execute(update(clusters).where(clusters.c.id == row.id).values(**left))
            told = ClusterRemoved(id=row.id, name=row.name)
            await outbox.add(connection, told, message_id=f"cluster:{row.id}:removed:{new_id()}")
            await audit.note(
                connection, call, _ACTION, row.id, "done", name=row.name, containers=str(len(held))
            )
            await audit.remember(connection, call, _ACTION, query, removal)
            return removal


async def _containers(
    connection: AsyncConnection, row: Row[Any], *, for_update: bool = False
) -> list[Row[Any]]:
    query = select(containers).where(
        containers.c.cluster_id == row.id, containers.c.lifecycle != Lifecycle.DELETED
    )
    query = query.order_by(containers.c.id)
    return list((await connection.execute(query.with_for_update() if for_update else query)).all())


async def _refuse_busy(connection: AsyncConnection, row: Row[Any]) -> None:
    active = select(jobs.c.id).where(jobs.c.cluster_id == row.id, jobs.c.state.in_(ACTIVE))
    found = (await connection.scalars(active.order_by(jobs.c.id))).all()
    if found:
        more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        raise ClusterBusy(
            f"Jobs wait or run in cluster {row.name}: {', '.join(found[:_TOLD])}{more}. Wait for their end, "
            "or cancel them (POST /api/v1/jobs/{job}/cancel); then remove it.",
            jobs=",".join(found[:_TOLD]),
            cluster=row.name,
        )


async def _forget(connection: AsyncConnection, row: Row[Any]) -> None:
    """Forget a container; one that is neither ready nor failed has no job any more, and is only left."""
    if row.lifecycle not in HOLDING:
        return
    await move(connection, row, Trigger.FORGOTTEN)
    told = ContainerForgotten(id=row.id, vmid=row.vmid, hostname=row.hostname, cluster=row.cluster_id)
    await outbox.add(connection, told, message_id=f"container:{row.id}:forgotten:{new_id()}")


async def _held(
    connection: AsyncConnection, row: Row[Any], held: list[Row[Any]], *, is_removed: bool
) -> ClusterRemoval:
    names = await connection.scalars(
        select(nodes.c.node).where(nodes.c.cluster_id == row.id).order_by(nodes.c.node)
    )
    ended = select(func.count()).select_from(jobs).where(jobs.c.cluster_id == row.id)
    return ClusterRemoval(
        cluster=row.id,
        name=row.name,
        is_removed=is_removed,
        containers=tuple(
            HeldContainer(id=each.id, vmid=each.vmid, hostname=each.hostname, node=each.node) for each in held
        ),
        nodes=tuple(names),
        finished_jobs=await connection.scalar(ended.where(jobs.c.state.not_in(ACTIVE))) or 0,
    )


async def _removed(connection: AsyncConnection, wanted: str) -> ClusterRemoval | None:
    """Tell of a cluster that was removed before, by its id, else by the last name it had."""
    query = select(clusters).where(
        clusters.c.removed_at.is_not(None), (clusters.c.id == wanted) | (clusters.c.name == wanted)
    )
    row = (await connection.execute(query.order_by(clusters.c.removed_at.desc()).limit(1))).first()
    if row is None:
        return None
    forgotten = select(containers).where(
        containers.c.cluster_id == row.id, containers.c.forgotten_as.is_not(None)
    )
    held = list((await connection.execute(forgotten.order_by(containers.c.id))).all())
    return await _held(connection, row, held, is_removed=True)
