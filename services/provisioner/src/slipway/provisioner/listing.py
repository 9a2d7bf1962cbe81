"""Answers what a host keeps of a container, live, and what it has against a job beforehand."""

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
from slipway.proxmox.storage_answers import Volume
from slipway.runtime.bus.call import Call

SLACK_SECONDS = 1.0
"""Before the asker's own deadline, so that he hears why."""
_LONG_AGO = datetime.fromtimestamp(0, tz=UTC)


class Listing:
    """Lists what is stored."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def guard(self, query: GetGuard, _call: Call) -> Guard:
        """Say whether a container is there, and whether it is protected."""
        target = query.target
        async with self._reached(query.timeout, target.cluster) as cluster:
            node = target.node
            try:
                config = await cluster.api.config(node, target.vmid)
            except ContainerMissing:
                seen = (await cluster.api.resources()).guests
                elsewhere = [each.node for each in seen if each.vmid == target.vmid and each.node != node]
                if not elsewhere:
                    return Guard()
                node = elsewhere[0]
                config = await cluster.api.config(node, target.vmid)
        if not is_marked(config, target):
            return Guard()
        return Guard(is_ours=True, node=node, is_protected=config.protection)

    async def vmid(self, query: CheckVmid, _call: Call) -> VmidState:
        """Say whether a VMID is free."""
        async with self._reached(query.timeout, query.cluster) as cluster:
            return VmidState(is_free=await cluster.api.is_free(query.vmid))

    async def check(self, query: CheckJob, _call: Call) -> JobCheck:
        """Say what on the host makes a job impossible that is about to be accepted."""
        target, args = query.target, query.args
        try:
            async with self._reached(query.timeout, target.cluster) as cluster:
                if isinstance(args, SnapshotArgs):
                    found = await cluster.api.snapshots(target.node, target.vmid)
                    refuse_taken(args.snapshot, found)
                elif isinstance(args, ResizeArgs):
                    refuse_smaller(args.disk, await cluster.api.config(target.node, target.vmid))
        except (SnapshotExists, DiskShrinks) as error:
            return JobCheck(problem=error.to_problem())
        except ContainerMissing:
            # It was moved, or is gone: the job follows it, or says so.
            return JobCheck()
        return JobCheck()

    async def snapshots(self, query: ListSnapshots, _call: Call) -> Snapshots:
        """Give a container's snapshots."""
        target = query.target
        async with self._reached(query.timeout, target.cluster) as cluster:
            config = await cluster.api.config(target.node, target.vmid)
            if not is_marked(config, target):
                raise NotOurs(
                    f"VMID {target.vmid} on {target.node} does not carry this container's mark.",
                    vmid=target.vmid,
                )
            found = await cluster.api.snapshots(target.node, target.vmid)
        items = (
            Snapshot(name=each.name, description=each.description.strip(), parent=each.parent, at=each.time)
            for each in found
        )
        return Snapshots(items=tuple(items))

    async def backups(self, query: ListBackups, _call: Call) -> Backups:
        """Give the backups of a container's VMID."""
        target = query.target
        async with self._reached(query.timeout, target.cluster) as cluster:
            storages = await cluster.api.storages(target.node, content="backup")
            able = sorted(each.name for each in storages if each.active)
            lists = await asyncio.gather(
                *(cluster.api.content(target.node, name, kind="backup") for name in able)
            )
        items = [
            _backup(storage, volume)
            for storage, volumes in zip(able, lists, strict=True)
            for volume in volumes
            if volume.vmid == target.vmid and volume.subtype in (None, "lxc")
        ]
        items.sort(key=lambda each: (each.at or _LONG_AGO, each.volume), reverse=True)
        unread = sorted(each.name for each in storages if each.enabled and not each.active)
        return Backups(items=tuple(items), unread=tuple(unread))

    @asynccontextmanager
    async def _reached(self, timeout: timedelta, wanted: Id) -> AsyncIterator[Cluster]:
        """Give the cluster; whatever takes too long is a cluster that is away."""
        seconds = timeout.total_seconds() - SLACK_SECONDS
        try:
            async with asyncio.timeout(seconds):
                yield await self._access.open(wanted)
        except TimeoutError as error:
            raise NodeUnreachable(
                f"Proxmox did not answer within {seconds:.0f} s; try again when it is back."
            ) from error
        except AccessRefused as error:
            raise NodeUnreachable(f"Proxmox does not accept Slipway's access: {error.message}") from error


def _backup(storage: str, volume: Volume) -> Backup:
    return Backup(
        volume=volume.volid,
        storage=storage,
        size_bytes=volume.size,
        notes=volume.notes.strip(),
        is_protected=volume.protected,
        at=volume.ctime,
    )
