"""Containers that are not on their host any more, or may not be: forgotten, found again, freed."""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, func, or_, select, update

from slipway.contracts.jobs import Target
from slipway.contracts.message import Id
from slipway.contracts.values import Lifecycle
from slipway.inventory.clusters.identity import STAYS
from slipway.inventory.containers.lifecycle import LOST
from slipway.inventory.containers.store import target_of
from slipway.inventory.jobs.queue import ACTIVE
from slipway.inventory.tables import clusters, containers, jobs
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now

_MOST = 200
"""Containers looked at in one go."""


class ContainerRemovalStore:
    """Keeps what is said about containers that are gone."""

    def __init__(self, database: Database, *, at_once: int = _MOST) -> None:
        self._database = database
        self._at_once = at_once

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


def _holds(vmid: int | None, hostname: str | None) -> ColumnElement[bool]:
    named = func.lower(containers.c.hostname) == (hostname or "").lower()
    return or_(containers.c.vmid == vmid, named)
