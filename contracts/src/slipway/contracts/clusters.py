"""Clusters and nodes: how they are added, what is known of them, and how a host is reached.

Secrets travel sealed: from the gateway to inventory, from inventory to monitor or provisioner.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from slipway.contracts.message import Event, Id, Moment, Query, Value
from slipway.contracts.values import Outage, Sealed


class SshNode(Value):
    """How one node is reached by SSH; without a host key it stays unusable until one is confirmed."""

    address: str | None = None
    """None takes what the cluster's status says."""
    port: int | None = None
    host_key: str | None = None
    """OpenSSH form: `ssh-ed25519 AAAA...`."""


class VmidRange(Value):
    """VMIDs that Slipway chooses from, both ends included; one that is asked for may lie elsewhere."""

    first: int
    last: int


class ClusterSpec(Value):
    """How a cluster is reached, without its secrets."""

    name: str
    endpoint: str
    """`https://host:8006`."""
    endpoints: tuple[str, ...] = ()
    """Further ones of the same cluster, asked while that one does not answer."""
    token_id: str | None = None
    """`user@realm!name`."""
    username: str | None = None
    """`root@pam`, with a password instead of a token."""
    tls_fingerprint: str | None = None
    """SHA-256 of the server's certificate, hex with or without colons."""
    ca: str | None = None
    """PEM."""
    ssh_username: str = "root"
    ssh_port: int = 22
    nodes: Mapping[str, SshNode] = Field(default_factory=dict)
    vmids: VmidRange | None = None
    """None is all that Proxmox takes, from 100."""


class ClusterSecrets(Value):
    """Its secrets.

    Owner = the cluster's name while it is being added or tested, its id later; fields are named like
    these attributes.
    """

    token_secret: Sealed | None = None
    password: Sealed | None = None
    ssh_password: Sealed | None = None
    ssh_private_key: Sealed | None = None


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
    """A bridge of a node."""

    name: str
    subnets: tuple[str, ...] = ()
    """Host address with prefix length: `10.0.0.1/24`."""


class NodeFacts(Value):
    """What was last seen of a node."""

    node: str
    is_online: bool
    address: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    storages: tuple[StorageFact, ...] = ()
    bridges: tuple[BridgeFact, ...] = ()
    os_templates: tuple[str, ...] = ()
    """Volumes: `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst`."""
    appliances: tuple[str, ...] = ()
    """Archives that the node can download."""
    vmids: tuple[int, ...] = ()
    """All in use in the cluster, VMs included."""
    pools: tuple[str, ...] = ()
    knows_pools: bool = False
    """Whether `pools` are all that there are; if not, nothing follows from a name that is missing."""
    tls_fingerprint: str | None = None
    """SHA-256 of the certificate that its API shows, as the cluster says; None is not known."""
    cluster_identity: str | None = None
    """What tells its cluster from any other; None is not known."""
    observed_at: Moment
    """Of the last change that was worth telling."""
    is_ssh_usable: bool = False
    ssh_problem: str | None = None
    looked_at: Moment | None = None
    """When it was last seen in order; None if that is not known."""
    outage: Outage | None = None
    """What is wrong with it now."""


class NodeLook(Value):
    """What the last looks said of a node."""

    node: str
    is_online: bool = True
    looked_at: Moment | None = None
    """When it was last seen in order."""
    storages_at: Moment | None = None
    """When it last answered about its storages."""
    outage: Outage | None = None


class ClusterLook(Value):
    """What the last looks said of a cluster; the value in the KV bucket `looks` under its id."""

    cluster: Id
    at: Moment
    """When this was written; monitor writes it at each poll, whatever came of the poll."""
    every_seconds: float
    """How long it is to the next one."""
    looked_at: Moment | None = None
    """When the cluster last answered with all that Slipway needs to know of its guests."""
    outage: Outage | None = None
    nodes: tuple[NodeLook, ...] = ()
    guests: tuple[VmidRange, ...] = ()
    """The containers that it then had, by VMID."""


class ClusterFacts(Value):
    """What a test of a cluster found."""

    version: str
    nodes: tuple[NodeFacts, ...]
    offered_host_keys: Mapping[str, str] = Field(default_factory=dict)
    """What those nodes show that can't be used over SSH: their key is not confirmed, or it is another one."""
    identity: str | None = None
    """What tells the cluster from any other, however it is reached; None is not known."""


class MemberEndpoint(Value):
    """Where a node's own API was last seen, and what certificate it shows."""

    endpoint: str
    tls_fingerprint: str | None = None


class TestCluster(Query[ClusterFacts]):
    """Reach a cluster over API and SSH and say what is there; secrets sealed to monitor."""

    __test__: ClassVar[bool] = False
    subject: ClassVar[str] = "slipway.v1.query.monitor.cluster.test"
    timeout: ClassVar[timedelta] = timedelta(seconds=20)
    spec: ClusterSpec
    secrets: ClusterSecrets
    """Owner = the cluster's name."""
    is_known: bool = False
    """It was saved before: nodes that have left it since are passed over instead of refused."""
    members: tuple[MemberEndpoint, ...] = ()
    """As in `ClusterAccess`."""
    known_endpoints: tuple[str, ...] = ()
    """Those that were in use before: they are not tried once more."""
    needs_ssh: bool = True
    """Refuse it if no node that was tried can be used over SSH; otherwise that is a finding."""


class Cluster(Value):
    """A cluster as Slipway knows it; secrets are write-only."""

    id: Id
    name: str
    endpoint: str
    endpoints: tuple[str, ...] = ()
    """Further ones that were given."""
    identity: str | None = None
    """What tells it from any other cluster; None is not known yet."""
    token_id: str | None = None
    username: str | None = None
    tls_fingerprint: str | None = None
    version: str
    nodes: tuple[NodeFacts, ...] = ()
    in_maintenance: tuple[str, ...] = ()
    """Nodes on which no new job starts."""
    offered_host_keys: Mapping[str, str] = Field(default_factory=dict)
    vmids: VmidRange | None = None
    """What Slipway chooses VMIDs from; None is all."""
    created_at: Moment
    looked_at: Moment | None = None
    """When it last answered; None if that is not known."""
    outage: Outage | None = None
    """What keeps it from being looked at, or from being looked at wholly, now."""


class ClusterPage(Value):
    """Some clusters, and where to go on."""

    items: tuple[Cluster, ...]
    next: str | None = None


class AddCluster(Query[Cluster]):
    """Add a cluster; it is tested before it is saved. Secrets sealed to inventory, owner = its name."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.add"
    timeout: ClassVar[timedelta] = timedelta(seconds=25)
    spec: ClusterSpec
    secrets: ClusterSecrets


class GetCluster(Query[Cluster]):
    """One cluster, by id or name."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.get"
    cluster: str


class ListClusters(Query[ClusterPage]):
    """Clusters by name."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.list"
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = None


class ClusterAccess(Value):
    """How to reach a cluster, sealed to whoever asked (owner = cluster id)."""

    id: Id
    spec: ClusterSpec
    secrets: ClusterSecrets
    members: tuple[MemberEndpoint, ...] = ()
    """Endpoints that nobody gave: those of the nodes, as the cluster itself told them."""


class GetClusterAccess(Query[ClusterAccess]):
    """How to reach a cluster; only provisioner and monitor may ask."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.access"
    cluster: Id
    seal_to: str
    """`provisioner` or `monitor`."""


class AuditEntry(Value):
    """Who did what to what."""

    id: Id
    at: Moment
    actor: str
    action: str
    """`container.create`, `credential.reveal`, `cluster.add`."""
    target: str
    outcome: str
    correlation_id: str
    details: Mapping[str, str] = Field(default_factory=dict)


class AuditPage(Value):
    """Some entries, and where to go on."""

    items: tuple[AuditEntry, ...]
    next: str | None = None


class ListAudit(Query[AuditPage]):
    """The audit log, newest first."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.audit.list"
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = None


class SetMaintenance(Query[Cluster]):
    """Switch a node's maintenance: while it is on, no new job starts there; what runs goes on."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.node.maintenance"
    cluster: str
    """Id or name."""
    node: str
    is_on: bool


class SetVmidRange(Query[Cluster]):
    """Say which VMIDs Slipway chooses from in a cluster; what exists keeps its own."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.vmid-range"
    cluster: str
    """Id or name."""
    vmids: VmidRange | None
    """None is all."""


class ConfirmHostKey(Query[Cluster]):
    """Confirm a node's SSH host key; it is tried before it is saved. Address and port stay if None."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.node.host-key"
    timeout: ClassVar[timedelta] = timedelta(seconds=25)
    cluster: str
    """Id or name."""
    node: str
    host_key: str
    """OpenSSH form; who asks has compared it with the one on the node itself."""
    address: str | None = None
    port: int | None = None


class ChangeClusterAccess(Query[Cluster]):
    """Change how a cluster is reached, a new token for one; tried before it is saved. What is None stays."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.change-access"
    timeout: ClassVar[timedelta] = timedelta(seconds=25)
    cluster: str
    """Id or name."""
    endpoint: str | None = None
    endpoints: tuple[str, ...] | None = None
    identity: str | None = None
    """The one that the cluster shows now, if it has got another CA; otherwise another one is refused."""
    token_id: str | None = None
    """With it the user goes, and the other way round; so do fingerprint and CA."""
    username: str | None = None
    tls_fingerprint: str | None = None
    ca: str | None = None
    ssh_username: str | None = None
    ssh_port: int | None = None
    secrets: ClusterSecrets = ClusterSecrets()
    """Sealed to inventory; owner = what `cluster` says."""


class ClusterChanged(Event):
    """How a cluster is reached has changed; whoever reaches it asks for its access anew."""

    subject: ClassVar[str] = "slipway.v1.event.cluster.{id}.changed"
    id: Id
    name: str


class ClusterAdded(Event):
    """A cluster was added."""

    subject: ClassVar[str] = "slipway.v1.event.cluster.{id}.added"
    id: Id
    name: str


class NodeObserved(Event):
    """Facts about a node have changed; id is `<cluster id>-<node>`. Said by monitor."""

    subject: ClassVar[str] = "slipway.v1.event.node.{id}.observed"
    id: Id
    cluster: Id
    facts: NodeFacts
