"""VMIDs: chosen under a lock per cluster, claimed by the container's row, replaced when someone else's."""

from collections.abc import Collection, Sequence

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.clusters import VmidRange
from slipway.contracts.jobs import ReplacedVmid
from slipway.contracts.message import Id
from slipway.contracts.values import JobState, Lifecycle
from slipway.inventory.containers.defaults import ALL_VMIDS, VmidTaken, choose_vmid
from slipway.inventory.containers.lifecycle import refuse_ended
from slipway.inventory.containers.names import lock_names
from slipway.inventory.containers.store import container_row
from slipway.inventory.jobs.store import job_row
from slipway.inventory.tables import clusters, containers, nodes, vmid_replacements
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now


class VmidStore:
    """Gives VMIDs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replace(self, job: Id, refused: int) -> ReplacedVmid:
        """Give another VMID to a job; asked again for the same refused one, the same answer."""
        replaced = vmid_replacements.c
        known = select(replaced.vmid).where(replaced.job_id == job, replaced.refused == refused)
        async with self._database.begin() as connection:
            of = (await job_row(connection, job)).container_id
            row = await container_row(connection, of, for_update=True)
            answered = await connection.scalar(known)
            if answered is not None:
                return ReplacedVmid(vmid=answered)
            refuse_ended(JobState((await job_row(connection, job)).state))
            if not row.vmid_is_provisional:
                raise VmidTaken(f"VMID {refused} was asked for and is in use; it is not replaced.")
            before = await connection.scalars(select(replaced.refused).where(replaced.job_id == job))
            vmid = await free_vmid(connection, row.cluster_id, None, refused={refused, *before})
            await connection.execute(insert(vmid_replacements).values(job_id=job, refused=refused, vmid=vmid))
            await connection.execute(
                update(containers).where(containers.c.id == row.id).values(vmid=vmid, updated_at=now())
            )
            return ReplacedVmid(vmid=vmid)


async def free_vmid(
    connection: AsyncConnection,
    cluster: Id,
    wanted: int | None,
    *,
    refused: Collection[int] = (),
    is_free: bool = False,
) -> int:
    """Choose a VMID: as `free_vmids`."""
    (vmid,) = await free_vmids(connection, cluster, [wanted], refused=refused, is_free=is_free)
    return vmid


async def free_vmids(
    connection: AsyncConnection,
    cluster: Id,
    wanted: Sequence[int | None],
    *,
    refused: Collection[int] = (),
    is_free: bool = False,
) -> list[int]:
    """Choose VMIDs; who chooses next in this cluster waits until this transaction ends.

    Args:
        connection: within the transaction that claims them.
        cluster: where.
        wanted: a None takes the lowest that is free.
        refused: those that Proxmox has refused to this job.
        is_free: Proxmox has just called the first wanted one free: what was seen before does not count.
    """
    await lock_names(connection, cluster)
    seen = await connection.scalars(select(nodes.c.facts["vmids"]).where(nodes.c.cluster_id == cluster))
    used = {vmid for vmids in seen for vmid in vmids or ()} - ({wanted[0]} if is_free else set())
    claimed = await connection.scalars(
        select(containers.c.vmid).where(
            containers.c.cluster_id == cluster, containers.c.lifecycle != Lifecycle.DELETED
        )
    )
    stored = await connection.scalar(select(clusters.c.spec["vmids"]).where(clusters.c.id == cluster))
    within = VmidRange.model_validate(stored) if stored else ALL_VMIDS
    taken = used.union(refused, claimed)
    chosen: list[int] = []
    for each in wanted:
        vmid = choose_vmid(each, used=taken, claimed=chosen, within=within)
        chosen.append(vmid)
    return chosen
