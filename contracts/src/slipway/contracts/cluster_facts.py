"""Cluster facts: what monitor sees of clusters and their nodes."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from slipway.contracts.checks import Check
from slipway.contracts.message import Event, Id, Moment, Value
from slipway.contracts.values import Outage


class VmidRange(Value):
    """VMIDs that Slipway chooses from, both ends included; one that is asked for may lie elsewhere."""

    first: int
    last: int


class StorageFact(Value):
    """A storage of a node."""

    name: str
    type: str
    content: tuple[str, ...]
    """`rootdir`, `vztmpl`, `images`, ..."""
    is_active: bool = True
    is_shared: bool = False
    """Whether other nodes of the cluster see the same content."""
    free_bytes: int | None = None
    total_bytes: int | None = None
    looked_at: Moment | None = None
    """When the node last answered about its storages; None if that is not known."""


class BridgeFact(Value):
    """A bridge of a node, or a vnet that it has."""

    name: str
    subnets: tuple[str, ...] = ()
    """Host address with prefix length: `10.0.0.1/24`."""
    type: str = "bridge"
    """`bridge`, `OVSBridge` or `vnet`."""
    is_vlan_aware: bool = False
    """Whether a VLAN tag may be set on a network of it."""
    vlans: str | None = None
    """The VLANs that it lets through, `2-4094`; None is not said."""
    comment: str | None = None


class VnetFact(Value):
    """A virtual network of the cluster's SDN; used as a bridge of its name."""

    name: str
    zone: str | None = None
    tag: int | None = None
    """Its VLAN, or its VXLAN identifier: what its zone makes of it."""
    is_vlan_aware: bool = False
    alias: str | None = None


class GpuFact(Value):
    """A graphics card of a node."""

    id: str
    """PCI address: `0000:00:02.0`."""
    name: str


class DeviceFact(Value):
    """A device of a node that a container may be given."""

    path: str
    """`/dev/dri/renderD128`."""
    kind: str
    """`gpu`, `nvidia`, `usb`, `serial`, `tun`, or the name of a single one: `kvm`, `fuse`."""
    name: str | None = None
    """Of a USB device, as it calls itself."""


class FolderFact(Value):
    """A mounted file system of a node, whose folders can be mounted into containers."""

    path: str
    """Where it is mounted."""
    type: str
    """`ext4`, `zfs`, `nfs4`, ..."""
    source: str
    is_read_only: bool = False


class NodeFacts(Value):
    """The facts of a node, as they were last seen."""

    node: str
    is_online: bool
    address: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    architecture: str | None = None
    """As Proxmox names those of containers: `amd64`, `arm64`; None is not known."""
    storages: tuple[StorageFact, ...] = ()
    bridges: tuple[BridgeFact, ...] = ()
    os_templates: tuple[str, ...] = ()
    """Volumes: `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst`."""
    os_template_sizes: Mapping[str, int] = Field(default_factory=dict)
    """Bytes, by volume."""
    appliances: tuple[str, ...] = ()
    """Archives that the node can download."""
    vmids: tuple[int, ...] = ()
    """All in use in the cluster, VMs included."""
    pools: tuple[str, ...] = ()
    vnets: tuple[VnetFact, ...] = ()
    """All of the cluster that the access may see."""
    gpus: tuple[GpuFact, ...] = ()
    devices: tuple[DeviceFact, ...] = ()
    folders: tuple[FolderFact, ...] = ()
    devices_problem: str | None = None
    """Why devices and folders are not known, or are only what was seen last."""
    parts_at: Mapping[str, Moment] = Field(default_factory=dict)
    """When each part was last answered: `storages`, `os_templates`, `bridges`, `vnets`, `pools`,
    `appliances`, `gpus`, `devices`, `vmids`; one that is missing never was."""
    knows_pools: bool = False
    """Whether `pools` are all that there are; if not, nothing follows from a name that is missing."""
    tls_fingerprint: str | None = None
    """SHA-256 of the certificate that its API shows, as the cluster says; None is not known."""
    cluster_identity: str | None = None
    """The identity of its cluster; None is not known."""
    observed_at: Moment
    """When it last changed enough to be published."""
    is_ssh_usable: bool = False
    ssh_problem: str | None = None
    ssh_limits: str | None = None
    """What the node's forced command binds the SSH key to, in its words; None: the key is not bound."""
    looked_at: Moment | None = None
    """When it was last seen in order; None if that is not known."""
    outage: Outage | None = None
    """What is wrong with it now."""


class NodeLook(Value):
    """The result of the last looks at a node."""

    node: str
    is_online: bool = True
    looked_at: Moment | None = None
    """When it was last seen in order."""
    storages_at: Moment | None = None
    """When it last answered about its storages."""
    parts_at: Mapping[str, Moment] = Field(default_factory=dict)
    """When it last answered about each part of its facts."""
    outage: Outage | None = None


class OwnTask(Value):
    """A task on a container that was started with Slipway's own token."""

    upid: str
    type: str
    """`vzcreate`, `vzstart`, ..."""
    vmid: int


class ClusterLook(Value):
    """The result of the last looks at a cluster; the value in the KV bucket `looks` under its id."""

    cluster: Id
    at: Moment
    """When this was written; monitor writes it every few seconds, whatever comes of its polls."""
    every_seconds: float
    """How long it is to the next one."""
    looked_at: Moment | None = None
    """When the cluster last answered with all that Slipway needs to know of its guests."""
    outage: Outage | None = None
    nodes: tuple[NodeLook, ...] = ()
    guests: tuple[VmidRange, ...] = ()
    """The containers that it then had, by VMID."""
    tasks_at: Moment | None = None
    """When its list of tasks was read last; None if it never was."""
    tasks: tuple[OwnTask, ...] = ()
    """Those in it that Slipway's own token has started."""


class ClusterFacts(Value):
    """The result of a cluster's test."""

    version: str
    nodes: tuple[NodeFacts, ...]
    offered_host_keys: Mapping[str, str] = Field(default_factory=dict)
    """The host keys of nodes that can't be used over SSH: not confirmed, or changed."""
    identity: str | None = None
    """The identity of the cluster, whatever its endpoint; None is not known."""
    checks: tuple[Check, ...] = ()

    @property
    def failed_checks(self) -> tuple[str, ...]:
        """The required ones that failed."""
        return tuple(str(each.name) for each in self.checks if each.is_obstacle)


class NodeObserved(Event):
    """Facts about a node have changed; id is `<cluster id>-<node>`. Published by monitor."""

    subject: ClassVar[str] = "slipway.v1.event.node.{id}.observed"
    id: Id
    cluster: Id
    facts: NodeFacts
