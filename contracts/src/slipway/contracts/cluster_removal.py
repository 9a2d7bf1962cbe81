"""Taking a cluster out of Slipway: what it held, and that it is gone. Its hosts are not touched."""

from typing import ClassVar

from slipway.contracts.message import Event, Id, Query, Value


class HeldContainer(Value):
    """A container that a removed cluster held."""

    id: Id
    vmid: int
    hostname: str
    node: str


class ClusterRemoval(Value):
    """The contents of a cluster that is or would be removed; nothing on its hosts is touched."""

    cluster: Id
    name: str
    is_removed: bool
    """False of a plan."""
    containers: tuple[HeldContainer, ...] = ()
    """Forgotten, not destroyed: they come back when the same cluster is added again."""
    nodes: tuple[str, ...] = ()
    finished_jobs: int = 0
    """Their jobs stay to be read."""
    access_id: str | None = None
    """The id under which the token script made the access that stays on Proxmox; None: another did."""
    address: str = ""
    """Of a node there, for a person who takes that access away."""
    ssh_port: int = 22
    """Of SSH there."""


class RemoveCluster(Query[ClusterRemoval]):
    """Take a cluster out of Slipway; refused only while jobs wait or run there."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.remove"
    cluster: str
    """Id or name."""
    is_plan: bool = False
    """Return its contents and change nothing."""


class ClusterRemoved(Event):
    """A cluster was taken out of Slipway; its hosts were not touched. Services that reach it stop."""

    subject: ClassVar[str] = "slipway.v1.event.cluster.{id}.removed"
    id: Id
    name: str
