"""Claims on names: one living container of a cluster has each, or is being given it."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict, FieldError
from slipway.contracts.values import Lifecycle
from slipway.inventory.jobs.queue import ACTIVE
from slipway.inventory.tables import clusters, containers, jobs


class HostnameTaken(Conflict):
    """A living container of the cluster has that name."""

    code = "hostname.taken"


class ClusterGone(Conflict):
    """Nothing is made in a cluster that was removed."""

    code = "cluster.removed"


async def lock_names(connection: AsyncConnection, cluster: Id) -> None:
    """Let nobody else choose a VMID, and so create, in a cluster before this transaction ends.

    Raises:
        ClusterGone: if the cluster was removed.
    """
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"vmid {cluster}"))))
    stays = await connection.scalar(select(clusters.c.removed_at.is_(None)).where(clusters.c.id == cluster))
    if stays is False:
        raise ClusterGone("The cluster was removed from Slipway; add it again first (POST /api/v1/clusters).")


async def claim_name(connection: AsyncConnection, cluster: Id, hostname: str, *, own: Id = "") -> None:
    """Refuse a name that is not free for `own`; nobody else takes one before this transaction ends."""
    await claim_names(connection, cluster, [hostname], own=own)


async def claim_names(
    connection: AsyncConnection, cluster: Id, hostnames: Sequence[str], *, own: Id = ""
) -> None:
    """Refuse names of which one is not free; as `claim_name`."""
    await lock_names(connection, cluster)
    used = await names_in_use(connection, cluster, own=own, among=hostnames)
    for hostname in hostnames:
        if hostname.lower() in used:
            raise name_taken(hostname)


async def names_in_use(
    connection: AsyncConnection, cluster: Id, *, own: Id = "", among: Sequence[str] | None = None
) -> frozenset[str]:
    """Give the names, in lower case, that living containers other than `own` have, or are being given.

    Args:
        connection: holds the lock of the cluster's names.
        cluster: where.
        own: a container whose names are not counted.
        among: the names that matter; None means all.
    """
    mine, given = func.lower(containers.c.hostname), func.lower(jobs.c.new_hostname)
    held = select(mine).where(
        containers.c.cluster_id == cluster,
        containers.c.lifecycle != Lifecycle.DELETED,
        containers.c.id != own,
    )
    coming = select(given).where(
        jobs.c.cluster_id == cluster,
        jobs.c.new_hostname.is_not(None),
        jobs.c.state.in_(ACTIVE),
        jobs.c.container_id != own,
    )
    if among is not None:
        wanted = [name.lower() for name in among]
        held, coming = held.where(mine.in_(wanted)), coming.where(given.in_(wanted))
    return frozenset(await connection.scalars(held.union_all(coming)))


def name_taken(hostname: str) -> HostnameTaken:
    """Give the refusal of a name."""
    message = f"A container {hostname!r} exists in this cluster; choose another name or delete it."
    return HostnameTaken(message.replace(" ''", ""), errors=[FieldError(field="hostname", message=message)])
