"""Containers that are not on their host any more, or may not be: forgotten, found again, freed."""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, func, or_, select, update

from slipway.contracts.jobs import Target
from slipway.contracts.message import Id
from slipway.contracts.values import Lifecycle
from slipway.inventory.clusters.store import STAYS
from slipway.inventory.containers.store import target_of, with_cluster
from slipway.inventory.decision import Claim
from slipway.inventory.tables import ACTIVE, clusters, containers, jobs
from slipway.runtime.database.engine import Database, sql_of
from slipway.runtime.process.clock import now

_MOST = 200
"""Containers looked at in one go."""
_ANY_FORGOTTEN = sql_of(select(containers.c.id).where(containers.c.forgotten_as.is_not(None)).limit(1))


class ContainerRemovalStore:
    """Reads which containers may be gone."""

    def __init__(self, database: Database, *, at_once: int = _MOST) -> None:
        self._database = database
        self._at_once = at_once

    async def forgotten(self) -> Sequence[Target]:
        """Return the forgotten containers that were not looked for the longest, by cluster; now they are."""
        if not await self._database.fetch(_ANY_FORGOTTEN):
            return ()
        one = containers.c
        due = select(one.id).join(clusters).where(one.forgotten_as.is_not(None), STAYS)
        due = due.order_by(one.looked_at.nulls_first(), one.id).limit(self._at_once)
        query = with_cluster().order_by(one.cluster_id)
        async with self._database.begin() as tx:
            ids = (await tx.scalars(due)).all()
            await tx.execute(update(containers).where(one.id.in_(ids)).values(looked_at=now()))
            return [target_of(row) for row in await tx.execute(query.where(one.id.in_(ids)))]

    async def remains(self, claim: Claim, *, among: Collection[Lifecycle], without: str) -> Sequence[Target]:
        """Return containers in these states that hold what is claimed, without a warning or a job."""
        working = select(jobs.c.container_id).where(
            jobs.c.container_id.is_not(None), jobs.c.state.in_(ACTIVE)
        )
        query = with_cluster().where(
            containers.c.cluster_id == claim.cluster,
            _holds(claim),
            containers.c.lifecycle.in_(among),
            containers.c.id.not_in(working),
            ~containers.c.warnings.contains([without]),
        )
        async with self._database.autocommit() as tx:
            return [target_of(row) for row in await tx.execute(query)]

    async def at_work(self, claim: Claim) -> Sequence[Id]:
        """Return the jobs that work on containers that hold what is claimed, or that get the name."""
        name = claim.hostname.lower()
        query = (
            select(jobs.c.id)
            .join(containers, containers.c.id == jobs.c.container_id)
            .where(
                containers.c.cluster_id == claim.cluster,
                containers.c.lifecycle != Lifecycle.DELETED,
                or_(_holds(claim), func.lower(jobs.c.new_hostname) == name),
                jobs.c.state.in_(ACTIVE),
            )
        )
        async with self._database.autocommit() as tx:
            return (await tx.scalars(query)).all()


def _holds(claim: Claim) -> ColumnElement[bool]:
    """Return whether a container of the cluster has the VMID or the name."""
    return or_(containers.c.vmid == claim.vmid, func.lower(containers.c.hostname) == claim.hostname.lower())
