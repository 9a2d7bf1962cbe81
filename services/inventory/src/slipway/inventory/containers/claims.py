"""Claims on names, VMIDs and containers: looked for under a lock, held by the rows, broken as an index.

A living container of a cluster holds its name and its VMID; a job holds the name that it is about to give.
VMIDs and names are claimed under one lock for each cluster, so that no two requests get the same one.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.cluster_facts import VmidRange
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.message import Id, Moment
from slipway.contracts.problems import Conflict
from slipway.contracts.values import Lifecycle
from slipway.inventory.containers.defaults import ALL_VMIDS, VmidTaken, choose_vmid, refuse_beyond_key
from slipway.inventory.faults import at
from slipway.inventory.tables import ACTIVE, clusters, containers, jobs, nodes


class JobActive(Conflict):
    """Another job works on the container."""

    code = "job.active"


class HostnameTaken(Conflict):
    """A living container of the cluster has that name."""

    code = "hostname.taken"


class ClusterGone(Conflict):
    """Nothing is created in a cluster that was removed."""

    code = "cluster.removed"


async def lock_names(tx: AsyncConnection, cluster: Id) -> None:
    """Lock a cluster's names and VMIDs until this transaction ends."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"vmid {cluster}"))))


async def claim_names(
    tx: AsyncConnection, cluster: Id, hostnames: Sequence[str], *, besides: Collection[Id] = ()
) -> None:
    """Lock the cluster's names, and refuse if one of these is in use by a container not in `besides`.

    Raises:
        ClusterGone: if the cluster was removed.
        HostnameTaken: names the field.
    """
    await lock_names(tx, cluster)
    in_use = await names_in_use(tx, cluster, besides=besides, among=hostnames)
    for hostname in hostnames:
        if hostname.lower() in in_use:
            raise name_taken(hostname)


async def names_in_use(
    tx: AsyncConnection,
    cluster: Id,
    *,
    besides: Collection[Id] = (),
    among: Sequence[str] | None = None,
) -> frozenset[str]:
    """Return the names, in lower case, that living containers have or are about to get.

    Args:
        tx: holds the lock of the cluster's names.
        cluster: where.
        besides: containers whose names don't count.
        among: the names that matter; None means all.

    Raises:
        ClusterGone: if the cluster was removed.
    """
    current, coming = func.lower(containers.c.hostname), func.lower(jobs.c.new_hostname)
    held = select(current).where(
        containers.c.cluster_id == cluster,
        containers.c.lifecycle != Lifecycle.DELETED,
        containers.c.id.not_in(besides),
    )
    promised = select(coming).where(
        jobs.c.cluster_id == cluster,
        jobs.c.new_hostname.is_not(None),
        jobs.c.state.in_(ACTIVE),
        jobs.c.container_id.not_in(besides),
    )
    if among is not None:
        names = [name.lower() for name in among]
        held, promised = held.where(current.in_(names)), promised.where(coming.in_(names))
    in_use = func.array(held.union_all(promised).scalar_subquery())
    query = select(clusters.c.removed_at, in_use.label("names")).where(clusters.c.id == cluster)
    row = (await tx.execute(query)).one()
    _refuse_gone(row.removed_at)
    return frozenset(row.names)


async def claim_vmids(
    tx: AsyncConnection,
    cluster: Id,
    requested: Sequence[int | None],
    *,
    refused: Collection[int] = (),
    besides: Collection[Id] = (),
    is_free: bool = False,
) -> list[int]:
    """Choose VMIDs.

    Args:
        tx: holds the lock of the cluster's names.
        cluster: where.
        requested: a None takes the lowest that is free.
        refused: those that can't be taken, though no row holds them.
        besides: containers whose VMIDs don't count.
        is_free: Proxmox has just called the first requested one free: facts of before don't count.

    Raises:
        ClusterGone: if the cluster was removed.
        VmidBeyondKey: if Slipway's SSH key may not enter a container of that VMID.
    """
    facts = func.jsonb_agg(nodes.c.facts["vmids"], type_=JSONB)
    seen = select(facts).where(nodes.c.cluster_id == cluster).scalar_subquery()
    limits = func.jsonb_agg(nodes.c.facts["ssh_limits"], type_=JSONB)
    bound = select(limits).where(nodes.c.cluster_id == cluster).scalar_subquery().label("bound")
    claimed = func.array(_claimed_vmids(cluster, besides).scalar_subquery())
    within = clusters.c.spec["vmids"].label("within")
    shown = (clusters.c.removed_at, within, seen.label("seen"), claimed.label("claimed"), bound)
    row = (await tx.execute(select(*shown).where(clusters.c.id == cluster))).one()
    _refuse_gone(row.removed_at)
    used = {vmid for vmids in row.seen or () for vmid in vmids or ()} - ({requested[0]} if is_free else set())
    bounds = VmidRange.model_validate(row.within) if row.within else ALL_VMIDS
    taken = used.union(refused, row.claimed)
    chosen: list[int] = []
    for vmid in requested:
        chosen.append(choose_vmid(vmid, used=taken, claimed=chosen, within=bounds))
        refuse_beyond_key(chosen[-1], row.bound or ())
    return chosen


def _refuse_gone(removed_at: Moment | None) -> None:
    if removed_at is not None:
        raise ClusterGone(
            "The cluster was removed from Slipway; connect it again first: `slipway cluster connect ADDRESS` "
            "(POST /api/v1/clusters)."
        )


async def refuse_vmid_in_use(
    tx: AsyncConnection, cluster: Id, vmid: int, *, besides: Id, chosen: Collection[int]
) -> None:
    """Raise `VmidTaken` if a VMID was chosen, or a living container other than `besides` has it."""
    if vmid in chosen or vmid in list(await tx.scalars(_claimed_vmids(cluster, [besides]))):
        raise vmid_taken()


def _claimed_vmids(cluster: Id, besides: Collection[Id]) -> Select[Any]:
    return select(containers.c.vmid).where(
        containers.c.cluster_id == cluster,
        containers.c.lifecycle != Lifecycle.DELETED,
        containers.c.id.not_in(besides),
    )


async def refuse_busy(
    tx: AsyncConnection, container: Id, kind: JobKind | None = None, hint: str = "wait for its end"
) -> None:
    """Raise `JobActive` if a job works on a container; the hint says what can be done."""
    active = (await active_jobs(tx, [container], kind)).get(container)
    if active is not None:
        raise JobActive(f"Job {active} works on this container; {hint}.", job=active)


async def active_jobs(tx: AsyncConnection, ids: Sequence[Id], kind: JobKind | None = None) -> Mapping[Id, Id]:
    """Return the jobs that are in the way of another one of a kind, by container.

    A copy is in the way of all that is done to its source, whose config Proxmox locks; not of other copies.
    """
    own = select(jobs.c.container_id.label("of"), jobs.c.id)
    own = own.where(jobs.c.container_id.in_(ids), jobs.c.state.in_(ACTIVE))
    copies = select(jobs.c.source_id, jobs.c.id).where(
        jobs.c.source_id.in_(ids if kind is not JobKind.CLONE else ()), jobs.c.state.in_(ACTIVE)
    )
    return {row.of: row.id for row in await tx.execute(own.union_all(copies))}


def broken_claim(error: IntegrityError) -> Conflict | None:
    """Return what a broken claim of a container means; None if it is none."""
    text = str(error.orig)
    if "claim_hostname" in text:
        return name_taken("")
    if "claim_vmid" in text:
        return vmid_taken()
    if "claim_job" in text:
        return JobActive("Another job was accepted for this container at the same moment; wait for its end.")
    return None


def name_taken(hostname: str) -> HostnameTaken:
    """Return the refusal of a name."""
    name = f" {hostname!r}" if hostname else ""
    message = f"A container{name} exists in this cluster; choose another name or delete it."
    return at("hostname", HostnameTaken, message)


def vmid_taken() -> VmidTaken:
    """Return the refusal of a VMID that another container has got."""
    return at("vmid", VmidTaken, "Another container of this cluster has that VMID by now.")
