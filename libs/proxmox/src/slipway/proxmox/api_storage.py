"""Sizes, snapshots, copies, backups and moves of containers: the part of `ProxmoxApi` about their disks."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from slipway.proxmox.requesting import Asking, upid_of
from slipway.proxmox.storage_answers import Snapshot
from slipway.proxmox.upid import Upid
from slipway.proxmox.wire import Params

BackupMode = Literal["snapshot", "suspend", "stop"]
_LONG_AGO = datetime.fromtimestamp(0, tz=UTC)


class StorageCalls(Asking):
    """The requests of `ProxmoxApi` about disks."""

    async def resize(self, node: str, vmid: int, disk: str, size: str) -> Upid | None:
        """Begin to grow a disk: `rootfs`, `mp0`; to `8G`, or by `+1G`. No task means that it is done.

        A smaller size is refused. Proxmox before 8 does it at once and names no task.
        """
        reply = await self._change("PUT", *_lxc(node, vmid), "resize", params={"disk": disk, "size": size})
        return None if reply.data is None else upid_of(reply)

    async def snapshots(self, node: str, vmid: int) -> tuple[Snapshot, ...]:
        """Return a container's snapshots, oldest first, without the entry for its present state."""
        rows = await self._every(Snapshot, *_lxc(node, vmid), "snapshot")
        stored = (row for row in rows if row.name != Snapshot.PRESENT)
        return tuple(sorted(stored, key=lambda row: (row.time or _LONG_AGO, row.name)))

    async def can_snapshot(self, node: str, vmid: int) -> bool:
        """Return whether all of a container's storages can make snapshots."""
        reply = await self._get(*_lxc(node, vmid), "feature", params={"feature": "snapshot"})
        return isinstance(reply.data, Mapping) and bool(reply.data.get("hasFeature"))

    async def snapshot(self, node: str, vmid: int, name: str, description: str = "") -> Upid:
        """Begin a snapshot; a running container is frozen for it. Most refusals come in the task."""
        params: Params = {"snapname": name, "description": description or None}
        return await self._begin("POST", *_lxc(node, vmid), "snapshot", params=params)

    async def rollback(self, node: str, vmid: int, name: str) -> Upid:
        """Begin to go back to a snapshot, disks and config. Stops the container, hard, and leaves it so.

        The notes in the config are the one thing that stays as it is (PVE::AbstractConfig).
        """
        return await self._begin("POST", *_lxc(node, vmid), "snapshot", name, "rollback", params={})

    async def delete_snapshot(self, node: str, vmid: int, name: str) -> Upid:
        """Begin the removal of a snapshot; those made after it stay."""
        return await self._begin("DELETE", *_lxc(node, vmid), "snapshot", name)

    async def clone(
        self,
        node: str,
        vmid: int,
        newid: int,
        *,
        hostname: str | None = None,
        description: str | None = None,
        storage: str | None = None,
        pool: str | None = None,
        snapname: str | None = None,
        target: str | None = None,
    ) -> Upid:
        """Begin a full copy; it has new hardware addresses, and the original's notes unless others are given.

        A running container can be copied only from one of its snapshots; the notes are then the snapshot's
        description. Raises `VmidTaken`. A killed task leaves a config that looks whole, notes included, but
        is locked (`create`) and has no root file system (PVE::API2::LXC).
        """
        params: Params = {
            "newid": newid,
            "hostname": hostname,
            "description": description,
            "full": True,
            "storage": storage,
            "pool": pool,
            "snapname": snapname,
            "target": target,
        }
        return await self._begin("POST", *_lxc(node, vmid), "clone", params=params)

    async def backup(
        self,
        node: str,
        vmid: int,
        *,
        storage: str,
        mode: BackupMode = "snapshot",
        notes: str = "",
    ) -> Upid:
        """Begin a backup with vzdump; older ones stay.

        A failure is `job errors`; its cause is in the task's log. In notes, `{{guestname}}`, `{{vmid}}` and
        `{{node}}` are filled in.
        """
        params: Params = {
            "vmid": str(vmid),
            "storage": storage,
            "mode": mode,
            "compress": "zstd",
            "remove": False,
            # vzdump reads `\n` and `\\`.
            "notes-template": notes.replace("\\", "\\\\").replace("\n", "\\n") or None,
        }
        return await self._begin("POST", "nodes", node, "vzdump", params=params)

    async def backup_config(self, node: str, volid: str) -> str:
        """Return the config inside a backup, read from the head of its archive: fails if that is damaged."""
        reply = await self._get("nodes", node, "vzdump", "extractconfig", params={"volume": volid})
        return str(reply.data or "")

    async def migrate(
        self,
        node: str,
        vmid: int,
        target: str,
        *,
        restart: bool = False,
        storage: str | None = None,
    ) -> Upid:
        """Begin a move to another node of the cluster.

        Args:
            node: Where it is.
            vmid: The container.
            target: Where to.
            restart: Shut a running container down, within three minutes, and start it there; without it a
                running one is refused.
            storage: Where its local disks go; None is storages of the same names. Shared ones stay.
        """
        params: Params = {"target": target, "restart": restart or None, "target-storage": storage}
        return await self._begin("POST", *_lxc(node, vmid), "migrate", params=params)


def _lxc(node: str, vmid: int) -> tuple[str, ...]:
    return ("nodes", node, "lxc", str(vmid))
