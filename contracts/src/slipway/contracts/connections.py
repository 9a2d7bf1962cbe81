"""Connecting a cluster by a root password that is used once, or by a script that one runs on a node oneself.

The password travels sealed from the gateway to inventory and from there to the provisioner, which runs the
token script with it over SSH; it is stored nowhere. What the script made comes back sealed.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from slipway.contracts.cluster_facts import VmidRange
from slipway.contracts.clusters import Cluster
from slipway.contracts.message import Done, Query, Value
from slipway.contracts.tiers import Tier
from slipway.contracts.values import Sealed

TOKEN_PATTERN = r"slipway-(?P<id>[a-z0-9]{1,20})@pve!main"  # noqa: S105 - a pattern
"""The token that the script makes, with the id under which it is this Slipway's own."""


ADDRESS_PATTERN = r"[A-Za-z0-9._:-]{1,253}"
"""What the address of a node looks like: a host's name or an IP address."""


class AccessBounds(Value):
    """What the token script binds access to, in its own words; empty is no bound."""

    vmids: str = ""
    """VMIDs that the SSH key is bound to: `100-199,250`."""
    pool: str = ""
    """The pool whose guests it is bound to."""
    mounts: str = ""
    """Folders of the node that containers may be given."""
    devices: str = ""
    """Devices of the node that containers may be given."""
    features: str = ""
    """What reaches into the node: `mount mknod force_rw_sys`, and `privileged` containers."""
    hookscripts: str = ""
    """Hook scripts that containers may be given."""


class NodeLogin(Value):
    """Where root's SSH login of a node is, and the host key that a person has compared."""

    address: str
    port: int = 22
    host_key: str
    """OpenSSH form: `ssh-ed25519 AAAA...`."""


class NodeProbe(Value):
    """What a machine shows to whom it does not know; for a person to compare."""

    address: str
    port: int
    host_key: str | None = None
    """OpenSSH form; None: no SSH server answers."""
    host_key_fingerprint: str | None = None
    """As `ssh-keygen -lf` shows it: `SHA256:...`."""
    endpoint: str
    tls_fingerprint: str | None = None
    """SHA-256 of the API's certificate; None: no TLS server answers."""
    problems: tuple[str, ...] = ()
    """Why something is not known."""


class ProbeNode(Query[NodeProbe]):
    """Say what SSH and API at an address show; nothing is sent to them."""

    subject: ClassVar[str] = "slipway.v1.query.monitor.node.probe"
    timeout: ClassVar[timedelta] = timedelta(seconds=12)
    address: str
    port: int = 22
    api_port: int = 8006


class ConnectCluster(Query[Cluster]):
    """Make token and key on a node with root's password, then add the cluster, or change its access.

    The password is sealed to inventory, owner = the cluster's name.
    """

    subject: ClassVar[str] = "slipway.v1.query.inventory.cluster.connect"
    timeout: ClassVar[timedelta] = timedelta(seconds=125)
    name: str
    login: NodeLogin
    password: Sealed
    api_port: int = 8006
    tls_fingerprint: str | None = None
    """Of the API's certificate, if a person has compared it; else what the node itself says counts."""
    tier: Tier = Tier.FULL
    bounds: AccessBounds = AccessBounds()
    is_known: bool = False
    """Whether it is about a cluster that Slipway has, which gets a new token and key."""


class MadeAccess(Value):
    """What the token script has made on a node; secrets sealed to inventory, owner = the cluster's name."""

    node: str
    """Its name in Proxmox."""
    token_id: str
    token_secret: Sealed
    ssh_private_key: Sealed | None = None
    tls_fingerprint: str | None = None
    ca: str | None = None
    host_key: str | None = None
    tier: Tier = Tier.FULL
    vmids: VmidRange | None = None
    """What the key is bound to, if that is one range."""


class MakeNodeAccess(Query[MadeAccess]):
    """Run the token script on a node by root's password, sealed to the provisioner, owner = the name.

    Refused without a change if the node belongs to a cluster that is known.
    """

    subject: ClassVar[str] = "slipway.v1.query.provisioner.node.make-access"
    timeout: ClassVar[timedelta] = timedelta(seconds=65)
    name: str
    login: NodeLogin
    password: Sealed
    id: str
    """The id that stands in all names that the script makes."""
    tier: Tier = Tier.FULL
    bounds: AccessBounds = AccessBounds()
    like: str = ""
    """The id of the access that it replaces: if no bounds are given, that one's stay."""
    own: str = ""
    """The identity that the cluster must have; empty: it is a new one."""
    known: Mapping[str, str] = Field(default_factory=dict)
    """Identities of clusters that are known already, with their names."""
    ids: Mapping[str, str] = Field(default_factory=dict)
    """Ids of clusters that were known once, by identity: if no bounds are given, those of that one stay."""


class RemoveNodeAccess(Query[Done]):
    """Take away what the token script has made on a node under an id."""

    subject: ClassVar[str] = "slipway.v1.query.provisioner.node.remove-access"
    timeout: ClassVar[timedelta] = timedelta(seconds=35)
    name: str
    login: NodeLogin
    password: Sealed
    id: str


class AccessScript(Value):
    """The token script, for a person who runs it on a node."""

    id: str
    """Stands in all names that it makes."""
    script: str
    """The whole script, its variables set."""
    makes: tuple[str, ...]
    """What it makes, in sentences."""


class GetAccessScript(Query[AccessScript]):
    """The token script with its variables set: for a new cluster, for new access to one, or for its end."""

    subject: ClassVar[str] = "slipway.v1.query.provisioner.cluster.script"
    name: str
    id: str
    """The id of a run before, whose token and key it makes anew; or a new one."""
    address: str = ""
    tier: Tier = Tier.FULL
    bounds: AccessBounds = AccessBounds()
    is_removal: bool = False
    """Whether it takes away what was made under the id."""
