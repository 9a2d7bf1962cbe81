"""Sizes, snapshots, copies, backups and moves of containers: the part of `ProxmoxApi` about their disks."""

from datetime import UTC, datetime
from typing import Literal

from slipway.proxmox.answers import Snapshot
from slipway.proxmox.requesting import Asking, every, upid_of
from slipway.proxmox.upid import Upid
from slipway.proxmox.wire import Params

Feature = Literal["snapshot", "clone", "copy"]
_LONG_AGO = datetime.fromtimestamp(0, tz=UTC)


class Keeping(Asking):
    """What `ProxmoxApi` can do with disks."""

    async def resize(self, node: str, vmid: int, disk: str, size: str) -> Upid | None:
        """Begin to grow a disk: `rootfs`, `mp0`; to `8G`, or by `+1G`. No task means that it is done.

        A smaller size is refused. Proxmox before 8 does it at once and names no task.
        """
        reply = await self._put(*_lxc(node, vmid), "resize", params={"disk": disk, "size": size})
        return None if reply.data is None else upid_of(reply)

    async def snapshots(self, node: str, vmid: int) -> tuple[Snapshot, ...]:
        """A container's snapshots, oldest first, without the entry for its present state."""
        rows = every(Snapshot, await self._get(*_lxc(node, vmid), "snapshot"))
        kept = (row for row in rows if row.name != Snapshot.PRESENT)
        return tuple(sorted(kept, key=lambda row: (row.time or _LONG_AGO, row.name)))

    async def feature(self, node: str, vmid: int, feature: Feature, *, snapname: str | None = None) -> bool:
        """Whether all of a container's storages can do it; `clone` means a linked one."""
        params: Params = {"feature": feature, "snapname": snapname}
        reply = await self._get(*_lxc(node, vmid), "feature", params=params)
        return bool((reply.data or {}).get("hasFeature"))


def _lxc(node: str, vmid: int) -> tuple[str, ...]:
    return ("nodes", node, "lxc", str(vmid))
