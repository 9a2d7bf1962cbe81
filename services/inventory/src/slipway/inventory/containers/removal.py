"""Containers that are not on their host any more, or may not be: forgotten, found again, freed."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, or_, select, update

from slipway.contracts.containers import ContainerDeleted, ContainerForgotten, ContainerFound
from slipway.contracts.jobs import Target
from slipway.contracts.message import Id
from slipway.contracts.values import Lifecycle
from slipway.inventory import audit
from slipway.inventory.clusters.identity import STAYS
from slipway.inventory.containers.claims import accepting, move, refuse_busy
from slipway.inventory.containers.lifecycle import HOLDING, LOST, Trigger
from slipway.inventory.containers.names import claim_name
from slipway.inventory.containers.store import container_row, target_of
from slipway.inventory.jobs.queue import ACTIVE
from slipway.inventory.tables import clusters, containers, credentials, jobs
from slipway.runtime.bus.call import Call
from slipway.runtime.database import outbox
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id

_MOST = 200
"""Containers looked at in one go."""


class ContainerRemovalStore:
    """Keeps what is said about containers that are gone."""

    def __init__(self, database: Database, *, at_once: int = _MOST) -> None:
        self._database = database
        self._at_once = at_once

    async def forget(self, call: Call, container: Id) -> None:
        """Drop a container; what it was is remembered, should it come back.

        Raises:
            JobActive: if a job works on it.
            IllegalTransition: if it is being made or deleted, or gone already.
        """
        async with accepting(self._database) as connection:
            row = await container_row(connection, container, for_update=True)
            await refuse_busy(connection, row.id)
            await move(connection, row, Trigger.FORGOTTEN)
            told = ContainerForgotten(**_names(row))
            await outbox.add(connection, told, message_id=f"container:{row.id}:forgotten:{new_id()}")
            await audit.note(connection, call, "container.forget", row.id, "done", hostname=row.hostname)

    async def forgotten(self) -> Sequence[Target]:
        """Give the forgotten containers that were not looked for the longest, by cluster; now they are."""
        one = containers.c
        due = select(one.id).join(clusters).where(one.forgotten_as.is_not(None), STAYS)
        due = due.order_by(one.looked_at.nulls_first(), one.id).limit(self._at_once)
        query = select(containers, clusters.c.name.label("cluster")).join(clusters).order_by(one.cluster_id)
        async with self._database.begin() as connection:
            ids = (await connection.scalars(due)).all()
            await connection.execute(update(containers).where(one.id.in_(ids)).values(looked_at=now()))
            return [target_of(row) for row in await connection.execute(query.where(one.id.in_(ids)))]

    async def found(self, call: Call, container: Id, node: str) -> None:
        """Keep a forgotten container again, where it was seen.

        Raises:
            HostnameTaken: if another one got its name meanwhile.
            VmidTaken: if another one got its VMID meanwhile.
        """
        async with accepting(self._database) as connection:
            row = await container_row(connection, container, for_update=True)
            stays = select(clusters.c.id).where(clusters.c.id == row.cluster_id, STAYS)
            if row.forgotten_as is None or not await connection.scalar(stays):
                return
            await claim_name(connection, row.cluster_id, row.hostname, own=row.id)
            was_ready = row.forgotten_as == Lifecycle.READY
            await move(connection, row, Trigger.SEEN_AGAIN if was_ready else Trigger.REMAINS_SEEN_AGAIN)
            await connection.execute(
                update(containers).where(containers.c.id == row.id).values(node=node, node_at=now())
            )
            told = ContainerFound(**_names(row), node=node)
            await outbox.add(connection, told, message_id=f"container:{row.id}:found:{new_id()}")
            await audit.note(connection, call, "container.found", row.id, "done", hostname=row.hostname)

    async def remains(
        self, cluster: Id, *, vmid: int | None, hostname: str | None, among: Collection[Lifecycle]
    ) -> Sequence[Target]:
        """Give containers in these states that hold this VMID or this name, and that no job works on."""
        working = select(jobs.c.container_id).where(
            jobs.c.container_id.is_not(None), jobs.c.state.in_(ACTIVE)
        )
        query = (
            select(containers, clusters.c.name.label("cluster"))
            .join(clusters)
            .where(
                containers.c.cluster_id == cluster,
                containers.c.lifecycle.in_(among),
                _holds(vmid, hostname),
                containers.c.id.not_in(working),
                # What a failed restore has lost is stored for the next one, until somebody deletes it.
                ~containers.c.warnings.contains([LOST]),
            )
        )
        async with self._database.begin() as connection:
            return [target_of(row) for row in await connection.execute(query)]

    async def at_work(self, cluster: Id, *, vmid: int | None, hostname: str) -> Sequence[Id]:
        """Give the jobs that work on containers that hold this VMID or this name, or get this name."""
        query = (
            select(jobs.c.id)
            .join(containers, containers.c.id == jobs.c.container_id)
            .where(
                containers.c.cluster_id == cluster,
                containers.c.lifecycle != Lifecycle.DELETED,
                or_(_holds(vmid, hostname), func.lower(jobs.c.new_hostname) == hostname.lower()),
                jobs.c.state.in_(ACTIVE),
            )
        )
        async with self._database.begin() as connection:
            return (await connection.scalars(query)).all()

    async def free(self, call: Call, container: Id) -> None:
        """Give up a container whose VMID Proxmox calls free: its name and VMID can be used again.

        Of a failed one the secrets stay as long as its creation can be done again.
        """
        async with accepting(self._database) as connection:
            row = await container_row(connection, container, for_update=True)
            if row.lifecycle not in HOLDING:
                return
            await refuse_busy(connection, row.id)
            if row.lifecycle == Lifecycle.READY:
                await connection.execute(delete(credentials).where(credentials.c.container_id == row.id))
            await move(connection, row, Trigger.FOUND_GONE)
            told = ContainerDeleted(**_names(row))
            await outbox.add(connection, told, message_id=f"container:{row.id}:gone:{new_id()}")
            await audit.note(connection, call, "container.gone", row.id, "done", hostname=row.hostname)


def _holds(vmid: int | None, hostname: str | None) -> ColumnElement[bool]:
    named = func.lower(containers.c.hostname) == (hostname or "").lower()
    return or_(containers.c.vmid == vmid, named)


def _names(row: Row[Any]) -> dict[str, Any]:
    return {"id": row.id, "vmid": row.vmid, "hostname": row.hostname, "cluster": row.cluster_id}
