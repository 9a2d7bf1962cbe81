"""Clusters and nodes: how they are added, read and changed, and the access to their hosts.

Secrets travel sealed: from the gateway to inventory, from inventory to monitor or provisioner.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from slipway.contracts.checks import Check
from slipway.contracts.cluster_facts import ClusterFacts, NodeFacts, VmidRange
from slipway.contracts.cluster_settings import DENIED, ClusterLimits
from slipway.contracts.message import Event, Id, Moment, Query, Value
from slipway.contracts.tiers import Tier
from slipway.contracts.values import Outage, Sealed


class SshNode(Value):
    """How one node is reached by SSH; without a host key it stays unusable until one is confirmed."""

    address: str | None = None
    """None takes what the cluster's status says."""
    port: int | None = None
    host_key: str | None = None
    """OpenSSH form: `ssh-ed25519 AAAA...`."""


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
    tier: Tier = Tier.FULL
    """How much Slipway may do there; below full there is no SSH access."""

    def ssh_place(self) -> tuple[str, int]:
        """Return address and SSH port of one of its nodes, for a person who logs in there."""
        node = next((each for each in self.nodes.values() if each.address), SshNode())
        return node.address or urlsplit(self.endpoint).hostname or self.endpoint, node.port or self.ssh_port


class ClusterSecrets(Value):
    """Its secrets.

    Owner = the cluster's name while it is being added or tested, its id later; fields are named like
    these attributes.
    """

    token_secret: Sealed | None = None
    password: Sealed | None = None
    ssh_password: Sealed | None = None
    ssh_private_key: Sealed | None = None


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
    """Refuse it if no node that was tried can be used over SSH; otherwise that is a finding.

    Below tier full no SSH is tried at all.
    """
    is_anyway: bool = False
    """Return what was seen, with the checks that failed, instead of refusing."""


class Cluster(Value):
    """A cluster as Slipway knows it; secrets are write-only."""

    id: Id
    name: str
    endpoint: str
    endpoints: tuple[str, ...] = ()
    """Further ones that were given."""
    identity: str | None = None
    """The identity of the cluster; None is not known yet."""
    token_id: str | None = None
    username: str | None = None
    tls_fingerprint: str | None = None
    ssh_port: int = 22
    """Of its nodes, where none of their own is set."""
    version: str
    nodes: tuple[NodeFacts, ...] = ()
    in_maintenance: tuple[str, ...] = ()
    """Nodes on which no new job starts."""
    offered_host_keys: Mapping[str, str] = Field(default_factory=dict)
    vmids: VmidRange | None = None
    """The VMIDs that Slipway chooses from; None is all."""
    tier: Tier = Tier.FULL
    created_at: Moment
    looked_at: Moment | None = None
    """When it last answered; None if that is not known."""
    outage: Outage | None = None
    """What keeps it from being looked at, or from being looked at wholly, now."""
    failed_checks: tuple[str, ...] = ()
    """Required checks that it failed when it was last tested, and was saved all the same."""
    checks: tuple[Check, ...] = ()
    """Of the test that was just made; not stored."""


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
    is_anyway: bool = False
    """Save it even if checks fail; it is marked with them."""


class CheckCluster(Query[Cluster]):
    """Test a cluster as it is stored; its marks of failed checks are renewed."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.check"
    timeout: ClassVar[timedelta] = timedelta(seconds=25)
    cluster: str
    """Id or name."""


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
    """How to reach a cluster, sealed to the service that asked (owner = cluster id)."""

    id: Id
    spec: ClusterSpec
    secrets: ClusterSecrets
    members: tuple[MemberEndpoint, ...] = ()
    """Endpoints of its nodes, as the cluster itself reports them."""
    limits: ClusterLimits = DENIED
    """What its containers may use of their hosts."""


class GetClusterAccess(Query[ClusterAccess]):
    """How to reach a cluster; only provisioner and monitor may ask."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.access"
    cluster: Id
    seal_to: str
    """`provisioner` or `monitor`."""


class SetMaintenance(Query[Cluster]):
    """Switch a node's maintenance: while it is on, no new job starts there; what runs goes on."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.node.maintenance"
    cluster: str
    """Id or name."""
    node: str
    is_on: bool


class SetVmidRange(Query[Cluster]):
    """Set the VMIDs that Slipway chooses from in a cluster; containers that exist keep theirs."""

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
    """OpenSSH form; a person has compared it with the one on the node itself."""
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
    vmids: VmidRange | None = None
    """What the new key is bound to, if that is one range; the cluster's VMID range if it has none."""
    tier: Tier | None = None
    """A tier below full removes the SSH login; full needs one, here or stored."""
    nodes: Mapping[str, SshNode] | None = None
    """How these are reached over SSH, host keys included; those that are not named stay."""
    secrets: ClusterSecrets = ClusterSecrets()
    """Sealed to inventory; owner = what `cluster` says."""


class ClusterChanged(Event):
    """The access to a cluster has changed; services that reach it ask for it again."""

    subject: ClassVar[str] = "slipway.v1.event.cluster.{id}.changed"
    id: Id
    name: str


class ClusterAdded(Event):
    """A cluster was added."""

    subject: ClassVar[str] = "slipway.v1.event.cluster.{id}.added"
    id: Id
    name: str
