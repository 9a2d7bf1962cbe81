"""Which cluster a cluster is: its name, how it is reached, and what it is. No two have one of them."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.clusters import ClusterSpec
from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict
from slipway.inventory.clusters.rules import access_id, normal
from slipway.inventory.clusters.store import STAYS
from slipway.inventory.faults import at
from slipway.inventory.tables import clusters
from slipway.runtime.database.engine import Database

_SAME_CA = "it has the same certificate authority (pve-root-ca.pem), by whichever address it is reached."


class ClusterExists(Conflict):
    """There is a cluster of that name, or this very cluster under another one."""

    code = "cluster.exists"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownClusters:
    """Clusters by identity."""

    names: Mapping[str, str]
    """Those that Slipway has."""
    ids: Mapping[str, str]
    """Of removed ones, the id under which the token script made their access."""


class ClusterIdentities:
    """Reads which clusters there are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def refuse_taken(self, spec: ClusterSpec, own: Id = "") -> None:
        """Raise `ClusterExists` if the name or one of the endpoints is another cluster's."""
        async with self._database.autocommit() as tx:
            await _refuse_taken(tx, spec, own)

    async def claim(self, tx: AsyncConnection, spec: ClusterSpec, own: Id = "") -> None:
        """Do the same in the transaction that stores it: of two requests at once, the second one is refused.

        A test takes seconds, and may not learn what the cluster is; then only this keeps it from being
        stored twice.
        """
        await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("clusters", 0))))
        await _refuse_taken(tx, spec, own)

    async def home_of(self, identity: str | None) -> Id | None:
        """Return the removed cluster that has this identity: its containers come back with it.

        Raises:
            ClusterExists: if it is not removed; names it.
        """
        if identity is None:
            return None
        query = select(clusters).where(clusters.c.identity == identity)
        async with self._database.autocommit() as tx:
            rows = (await tx.execute(query.order_by(clusters.c.removed_at.desc()))).all()
        for row in rows:
            if row.removed_at is None:
                raise _same_cluster(row.name, "endpoint", _SAME_CA)
        return str(rows[0].id) if rows else None

    async def refuse_other(self, identity: str | None, *, own: Id) -> None:
        """Raise `ClusterExists` if another cluster has this identity; names it."""
        if identity is None:
            return
        query = select(clusters.c.name).where(clusters.c.identity == identity, clusters.c.id != own, STAYS)
        async with self._database.autocommit() as tx:
            name = await tx.scalar(query)
        if name is not None:
            raise _same_cluster(name, "endpoint", _SAME_CA)

    async def known(self, own: Id = "") -> KnownClusters:
        """Return which clusters there are and were, but for one's own."""
        async with self._database.autocommit() as tx:
            rows = (await tx.execute(select(clusters).where(clusters.c.id != own))).all()
        tokens = {row.identity: row.spec.get("token_id") for row in rows if row.removed_at is not None}
        ids = {identity: access_id(token) for identity, token in tokens.items() if identity}
        return KnownClusters(
            names={row.identity: row.name for row in rows if row.identity and row.removed_at is None},
            ids={identity: made for identity, made in ids.items() if made},
        )

    async def learn(self, cluster: Id, identity: str) -> None:
        """Store what a cluster of before is; one that was added twice keeps it once."""
        learned = update(clusters).where(clusters.c.id == cluster, clusters.c.identity.is_(None), STAYS)
        with contextlib.suppress(IntegrityError):
            async with self._database.begin() as tx:
                await tx.execute(learned.values(identity=identity))


async def _refuse_taken(tx: AsyncConnection, spec: ClusterSpec, own: Id) -> None:
    mine = {spec.endpoint, *spec.endpoints}
    for row in (await tx.execute(select(clusters).where(STAYS, clusters.c.id != own))).all():
        other = normal(ClusterSpec.model_validate({"name": row.name, "endpoint": "", **row.spec}))
        if row.name == spec.name:
            raise name_taken(spec.name)
        if shared := mine & {other.endpoint, *other.endpoints}:
            field = "endpoint" if spec.endpoint in shared else "endpoints"
            raise _same_cluster(row.name, field, f"{shared.pop()} is how it is reached.")


def name_taken(name: str) -> ClusterExists:
    """Return the error for a name that another cluster has."""
    return at("name", ClusterExists, f"There is a cluster {name!r} already.")


def _same_cluster(name: str, field: str, why: str) -> ClusterExists:
    """Return the error for a cluster that is known under another name."""
    message = (
        f"This cluster is known already, as {name!r}: {why} Use that one; give it other access: "
        f"`slipway cluster access {name} --connect ADDRESS` (PUT /api/v1/clusters/{name}/access); or remove "
        f"it first: `slipway cluster remove {name}` (DELETE /api/v1/clusters/{name})."
    )
    return at(field, ClusterExists, message, cluster=name)
