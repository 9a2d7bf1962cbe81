"""The part of the Proxmox VE API that Slipway uses, typed.

One method is one request; nothing here waits, retries or decides. Parameters are those of the official
schema, answers are those of `answers`. What changes something returns the UPID of a task, and most errors
arrive in that task, not in the call (PVE 9.2, observed): wait for it with `tasks.wait`.
"""

from collections.abc import Mapping
from datetime import timedelta

from slipway.proxmox.answers import (
    Bridge,
    ClusterMember,
    ContainerConfig,
    ContainerStatus,
    Node,
    NodeStatus,
    Resources,
    Storage,
    Version,
)
from slipway.proxmox.api_storage import StorageCalls
from slipway.proxmox.errors import VmidTaken
from slipway.proxmox.interfaces import Interface
from slipway.proxmox.reading import not_understood, read_resources
from slipway.proxmox.storage_answers import Appliance, Certificate, PciDevice, PendingRow, Pool, Vnet, Volume
from slipway.proxmox.task_answers import EMPTY_LOG, LogLine, Task, TaskStatus
from slipway.proxmox.upid import Upid
from slipway.proxmox.wire import Params

_BRIDGE_TYPES = frozenset({"bridge", "OVSBridge", "vnet"})


class ProxmoxApi(StorageCalls):
    """One cluster's API. Asking any node is asking the cluster."""

    async def version(self) -> Version:
        """Return the version; the cheapest proof that the access works."""
        return await self._one(Version, "version")

    async def nodes(self) -> tuple[Node, ...]:
        """Return all nodes of the cluster."""
        return await self._every(Node, "nodes")

    async def reach_node(self, node: str) -> None:
        """Ask a node a free question; raise if it does not answer."""
        await self._get("nodes", node, "time")

    async def node_status(self, node: str) -> NodeStatus:
        """Return a node's own status; needs `Sys.Audit` on it."""
        return await self._one(NodeStatus, "nodes", node, "status")

    async def cluster_status(self) -> tuple[ClusterMember, ...]:
        """Return quorum and members; a single node has one row."""
        return await self._every(ClusterMember, "cluster", "status")

    async def permissions(self) -> Mapping[str, Mapping[str, bool]]:
        """Return the asker's privileges by path, and whether each also holds below it (official schema)."""
        reply = await self._get("access", "permissions")
        paths = reply.data or {}
        if not isinstance(paths, Mapping):
            raise not_understood(reply, "it should name paths and their privileges")
        return {
            path: {name: bool(propagates) for name, propagates in names.items()}
            for path, names in paths.items()
            if isinstance(names, Mapping)
        }

    async def pools(self) -> tuple[str, ...]:
        """Return the pools that the asker may see, which is all of them with `Pool.Audit` on `/pool`."""
        return tuple(pool.poolid for pool in await self._every(Pool, "pools"))

    async def certificates(self, node: str) -> tuple[Certificate, ...]:
        """Return a node's certificates: its cluster's CA, its own from that, and the one in its place."""
        return await self._every(Certificate, "nodes", node, "certificates", "info")

    async def storages(self, node: str, *, content: str | None = None) -> tuple[Storage, ...]:
        """Return a node's storages, all or those for one content: `rootdir`, `vztmpl`."""
        return await self._every(Storage, "nodes", node, "storage", params={"content": content})

    async def content(self, node: str, storage: str, *, kind: str | None = None) -> tuple[Volume, ...]:
        """Return what is on a storage, all or of one kind: `vztmpl`, `rootdir`."""
        path = ("nodes", node, "storage", storage, "content")
        return await self._every(Volume, *path, params={"content": kind})

    async def networks(self, node: str) -> tuple[Bridge, ...]:
        """Return a node's bridges. A creation takes a bridge that does not exist; only the start fails."""
        bridges = await self._every(Bridge, "nodes", node, "network", params={"type": "any_bridge"})
        return tuple(bridge for bridge in bridges if bridge.type in _BRIDGE_TYPES)

    async def vnets(self) -> tuple[Vnet, ...]:
        """Return the vnets that the asker may audit: none on a cluster without SDN."""
        return await self._every(Vnet, "cluster", "sdn", "vnets")

    async def pci_devices(self, node: str) -> tuple[PciDevice, ...]:
        """Return a node's PCI devices without memory, bridges and processors; needs `Sys.Audit` on `/`."""
        return await self._every(PciDevice, "nodes", node, "hardware", "pci")

    async def is_free(self, vmid: int) -> bool:
        """Return whether nothing in the cluster has a VMID, VMs included.

        It is not reserved: the creation's `VmidTaken` is the compare-and-set.
        """
        try:
            await self._get("cluster", "nextid", params={"vmid": vmid})
        except VmidTaken:
            return False
        return True

    async def resources(self) -> Resources:
        """Return all guests and nodes at once; cheap, up to ten seconds old."""
        return read_resources(self.reader, await self._get("cluster", "resources"))

    async def create(self, node: str, params: Params) -> Upid:
        """Begin a creation; parameters as in the official schema, `start` excepted.

        `start=1` would hide a failing start in a task of its own. `unprivileged` is always said, since its
        default changed with 9.0. Raises `VmidTaken` when the VMID belongs to any guest of the cluster.
        """
        if "start" in params or "unprivileged" not in params:
            raise ValueError("a creation sets unprivileged, and never start")
        return await self._begin("POST", "nodes", node, "lxc", params=params)

    async def restore(self, node: str, params: Params) -> Upid:
        """Begin to make a container from a backup, its volume in `ostemplate`; otherwise as `create`.

        What is not given is as it was when the backup was made, hardware addresses and notes included;
        `unique` makes new addresses. `force` replaces a stopped container that has the VMID.
        """
        return await self.create(node, {**params, "restore": True})

    async def config(self, node: str, vmid: int, *, snapshot: str | None = None) -> ContainerConfig:
        """Return a container's config, or a snapshot's; only lock and digest while it is being created."""
        params = {"snapshot": snapshot} if snapshot else {}
        return await self._one(ContainerConfig, "nodes", node, "lxc", str(vmid), "config", params=params)

    async def pending(self, node: str, vmid: int) -> tuple[PendingRow, ...]:
        """Return each setting as it is, and as it will be after the next start."""
        return await self._every(PendingRow, "nodes", node, "lxc", str(vmid), "pending")

    async def set_config(self, node: str, vmid: int, params: Params, *, digest: str | None = None) -> None:
        """Change the config at once; raises `ConfigChanged` if it is not the one of the digest any more."""
        changes = {**params, "digest": digest}
        await self._change("PUT", "nodes", node, "lxc", str(vmid), "config", params=changes)

    async def status(self, node: str, vmid: int) -> ContainerStatus:
        """Return a container's state right now."""
        return await self._one(ContainerStatus, "nodes", node, "lxc", str(vmid), "status", "current")

    async def start(self, node: str, vmid: int) -> Upid:
        """Begin a start; raises `AlreadyRunning`."""
        return await self._power(node, vmid, "start", {})

    async def stop(self, node: str, vmid: int, *, overrule_shutdown: bool = False) -> Upid:
        """Begin a stop, at once and hard; raises `NotRunning`."""
        return await self._power(node, vmid, "stop", {"overrule-shutdown": overrule_shutdown or None})

    async def shutdown(self, node: str, vmid: int, *, grace: timedelta) -> Upid:
        """Begin a clean shutdown.

        For a container that ignores it the task fails after about twice the grace, and the container goes on
        running (PVE 9.2, observed).
        """
        params: Params = {"timeout": int(grace.total_seconds()), "forceStop": False}
        return await self._power(node, vmid, "shutdown", params)

    async def reboot(self, node: str, vmid: int, *, grace: timedelta) -> Upid:
        """Begin a clean shutdown with a start after it."""
        return await self._power(node, vmid, "reboot", {"timeout": int(grace.total_seconds())})

    async def delete(self, node: str, vmid: int) -> Upid:
        """Begin a removal with all disks, also from backup jobs, replication and HA (purge)."""
        params: Params = {"purge": True, "force": False, "destroy-unreferenced-disks": True}
        return await self._begin("DELETE", "nodes", node, "lxc", str(vmid), params=params)

    async def interfaces(self, node: str, vmid: int) -> tuple[Interface, ...]:
        """Return the interfaces inside a running container; none when it is stopped."""
        return await self._every(Interface, "nodes", node, "lxc", str(vmid), "interfaces")

    async def tasks(
        self, node: str, *, vmid: int | None = None, typefilter: str | None = None, source: str = "all"
    ) -> tuple[Task, ...]:
        """Return a node's tasks, newest first, at most 500; `source` is `active`, `archive` or `all`."""
        params: Params = {"vmid": vmid, "typefilter": typefilter, "source": source, "limit": 500}
        return await self._every(Task, "nodes", node, "tasks", params=params)

    async def cluster_tasks(self) -> tuple[Task, ...]:
        """Return the latest tasks of all nodes: all that run, and 25 that have ended of each (PVE 9.2)."""
        return await self._every(Task, "cluster", "tasks")

    async def task_status(self, upid: Upid) -> TaskStatus:
        """Return where a task stands; raise `TaskMissing` if the node knows none."""
        return await self._one(TaskStatus, "nodes", upid.node, "tasks", upid, "status")

    async def task_log(self, upid: Upid, start: int = 0) -> tuple[LogLine, ...]:
        """Return a task's log after its first `start` lines."""
        path = ("nodes", upid.node, "tasks", upid, "log")
        reply = await self._get(*path, params={"start": start, "limit": 0})
        lines = sorted(self.reader.every(LogLine, reply), key=lambda line: line.number)
        if [line.text for line in lines] == [EMPTY_LOG] and reply.total == 1:
            return ()
        return tuple(line for line in lines if line.number > start)

    async def stop_task(self, upid: Upid) -> None:
        """Ask a task to stop; nothing happens to one that has ended."""
        await self._change("DELETE", "nodes", upid.node, "tasks", upid)

    async def appliances(self, node: str) -> tuple[Appliance, ...]:
        """Return the container templates that can be downloaded."""
        return await self._every(Appliance, "nodes", node, "aplinfo")

    async def download_appliance(self, node: str, storage: str, template: str) -> Upid:
        """Begin the download of a template."""
        params: Params = {"storage": storage, "template": template}
        return await self._begin("POST", "nodes", node, "aplinfo", params=params)

    async def _power(self, node: str, vmid: int, verb: str, params: Params) -> Upid:
        return await self._begin("POST", "nodes", node, "lxc", str(vmid), "status", verb, params=params)
