"""Queries about the state of a host: snapshots, backups, protection, and checks before a job is accepted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from slipway.contracts.host_state import (
    Backup,
    Backups,
    CheckJob,
    CheckVmid,
    GetGuard,
    Guard,
    JobCheck,
    ListBackups,
    ListSnapshots,
    Snapshot,
    Snapshots,
    VmidState,
)
from slipway.contracts.job_kinds import ResizeArgs, SnapshotArgs
from slipway.contracts.message import Id
from slipway.provisioner.access import Access
from slipway.provisioner.host.marks import is_marked
from slipway.provisioner.host.ownership import NotOurs
from slipway.provisioner.steps.configure import DiskShrinks, refuse_smaller
from slipway.provisioner.steps.snapshots import SnapshotExists, refuse_taken
from slipway.proxmox.errors import AccessRefused, ContainerMissing, NodeUnreachable
from slipway.proxmox.hosts import Cluster
from slipway.runtime.bus.call import Call

SLACK_SECONDS = 1.0
"""Before the deadline of the asking service, so that the reason reaches it."""
_LONG_AGO = datetime.fromtimestamp(0, tz=UTC)


class HostQueries:
    """Handles the queries about the state of a host."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def guard(self, query: GetGuard, _call: Call) -> Guard:
        """Return whether a container is there, and whether it is protected."""
        target = query.target
        async with self._opened(query.timeout, target.cluster) as cluster:
            node = target.node
            try:
                config = await cluster.api.config(node, target.vmid)
            except ContainerMissing:
                guests = (await cluster.api.resources()).guests
                elsewhere = [each.node for each in guests if each.vmid == target.vmid and each.node != node]
                if not elsewhere:
                    return Guard()
                node = elsewhere[0]
                config = await cluster.api.config(node, target.vmid)
        if not is_marked(config, target):
            return Guard()
        return Guard(is_ours=True, node=node, is_protected=config.protection)

    async def vmid(self, query: CheckVmid, _call: Call) -> VmidState:
        """Return whether a VMID is free."""
        async with self._opened(query.timeout, query.cluster) as cluster:
            return VmidState(is_free=await cluster.api.is_free(query.vmid))

    async def check(self, query: CheckJob, _call: Call) -> JobCheck:
        """Return the problem that makes a job impossible, before it is accepted."""
        target, args = query.target, query.args
        try:
            async with self._opened(query.timeout, target.cluster) as cluster:
                if isinstance(args, SnapshotArgs):
                    snapshots = await cluster.api.snapshots(target.node, target.vmid)
                    refuse_taken(args.snapshot, snapshots)
                elif isinstance(args, ResizeArgs):
                    refuse_smaller(args.disk, await cluster.api.config(target.node, target.vmid))
        except (SnapshotExists, DiskShrinks) as error:
            return JobCheck(problem=error.to_problem())
        except ContainerMissing:
            pass  # It was moved, or is gone: the job follows it, or fails.
        return JobCheck()

    async def snapshots(self, query: ListSnapshots, _call: Call) -> Snapshots:
        """Return a container's snapshots."""
        target = query.target
        async with self._opened(query.timeout, target.cluster) as cluster:
            config = await cluster.api.config(target.node, target.vmid)
            if not is_marked(config, target):
                raise NotOurs(
                    f"VMID {target.vmid} on {target.node} does not carry this container's mark.",
                    vmid=target.vmid,
                )
            snapshots = await cluster.api.snapshots(target.node, target.vmid)
        items = (
            Snapshot(name=each.name, description=each.description.strip(), parent=each.parent, at=each.time)
            for each in snapshots
        )
        return Snapshots(items=tuple(items))

    async def backups(self, query: ListBackups, _call: Call) -> Backups:
        """Return the backups of a container's VMID."""
        target = query.target
        async with self._opened(query.timeout, target.cluster) as cluster:
            storages = await cluster.api.storages(target.node, content="backup")
            active = sorted(each.name for each in storages if each.active)
            lists = await asyncio.gather(
                *(cluster.api.content(target.node, name, kind="backup") for name in active)
            )
        items = [
            Backup(
                volume=volume.volid,
                storage=storage,
                size_bytes=volume.size,
                notes=volume.notes.strip(),
                is_protected=volume.protected,
                at=volume.ctime,
            )
            for storage, volumes in zip(active, lists, strict=True)
            for volume in volumes
            if volume.vmid == target.vmid and volume.subtype in (None, "lxc")
        ]
        items.sort(key=lambda each: (each.at or _LONG_AGO, each.volume), reverse=True)
        unread = sorted(each.name for each in storages if each.enabled and not each.active)
        return Backups(items=tuple(items), unread=tuple(unread))

    @asynccontextmanager
    async def _opened(self, timeout: timedelta, cluster: Id) -> AsyncIterator[Cluster]:
        """Open the cluster; if the query takes too long the cluster counts as unreachable."""
        seconds = timeout.total_seconds() - SLACK_SECONDS
        try:
            async with asyncio.timeout(seconds):
                yield await self._access.open(cluster)
        except TimeoutError as error:
            raise NodeUnreachable(
                f"Proxmox did not answer within {seconds:.0f} s; try again when it is back."
            ) from error
        except AccessRefused as error:
            raise NodeUnreachable(f"Proxmox does not accept Slipway's access: {error.message}") from error
