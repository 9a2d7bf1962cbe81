"""Connections to clusters, opened on demand and cached.

A cluster's connections are made from one `ClusterAccess`. When the access changes they are made anew; who
works with the old ones may end his work, then they close. Nothing is connected before it is used.
"""

from pathlib import Path
from typing import Protocol

from slipway.contracts.problems import NotFound
from slipway.proxmox.access import ClusterAccess
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.pct import Pct
from slipway.proxmox.protocols import Shell
from slipway.proxmox.reading import NoteUnreadable, ignore_unreadable
from slipway.proxmox.ssh import NodeShell


class HostCluster(Protocol):
    """One cluster, as work on it needs it: its API, and commands on each node."""

    access: ClusterAccess
    api: ProxmoxApi

    def shell(self, node: str) -> Shell:
        """Return what runs commands on a node."""


class Cluster:
    """One cluster: its API, and a shell on each node."""

    def __init__(
        self,
        access: ClusterAccess,
        *,
        record: Path | None = None,
        unreadable: NoteUnreadable = ignore_unreadable,
    ) -> None:
        self.access = access
        self.api = ProxmoxApi(access.api, record=record, unreadable=unreadable)
        self._shells: dict[str, NodeShell] = {}

    def shell(self, node: str) -> NodeShell:
        """Return what runs commands on a node.

        Raises:
            NotFound: if the cluster has no SSH access to it.
        """
        if node not in self._shells:
            if node not in self.access.nodes:
                tier = self.access.tier
                cure = "add its address and host key" if tier.uses_ssh else f"it has tier {tier}"
                raise NotFound(
                    f"Slipway has no SSH access to node {node} of the cluster: {cure}.",
                    code="proxmox.node-without-access",
                    node=node,
                )
            self._shells[node] = NodeShell(self.access.nodes[node])
        return self._shells[node]

    def pct(self, node: str) -> Pct:
        """Return what acts on the containers of a node."""
        return Pct(self.shell(node))

    def retire(self) -> None:
        """Close idle connections; running work on the others may end."""
        for shell in self._shells.values():
            shell.retire()

    async def aclose(self) -> None:
        """Close all connections."""
        shells, self._shells = self._shells, {}
        for shell in shells.values():
            await shell.aclose()
        await self.api.aclose()


class Hosts:
    """The clusters that this process talks to."""

    def __init__(self, record: Path | None = None, *, unreadable: NoteUnreadable = ignore_unreadable) -> None:
        """Create it without opening anything; see `Asking` for the arguments."""
        self._record = record
        self._unreadable = unreadable
        self._clusters: dict[str, Cluster] = {}

    def open(self, cluster: str, access: ClusterAccess) -> Cluster:
        """Return the connections to a cluster; they are opened anew if the access has changed."""
        cached = self._clusters.get(cluster)
        if cached is not None and cached.access == access:
            return cached
        self._clusters[cluster] = Cluster(access, record=self._record, unreadable=self._unreadable)
        if cached is not None:
            cached.retire()
        return self._clusters[cluster]

    async def forget(self, cluster: str) -> None:
        """Close a cluster's connections."""
        cached = self._clusters.pop(cluster, None)
        if cached is not None:
            await cached.aclose()

    async def aclose(self) -> None:
        """Close everything."""
        for cluster in list(self._clusters):
            await self.forget(cluster)
