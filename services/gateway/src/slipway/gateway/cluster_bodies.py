"""The bodies of requests about clusters: how one is reached, and what is set for it."""

from collections.abc import Mapping

from pydantic import Field, SecretStr

from slipway.contracts.cluster_facts import VmidRange
from slipway.contracts.cluster_settings import ClusterLimits, SiteDefaults
from slipway.contracts.clusters import SshNode
from slipway.contracts.connections import AccessBounds
from slipway.contracts.tiers import Tier
from slipway.gateway.bodies import STRICT, Body


class SshNodeBody(SshNode):
    """How one node is reached by SSH."""

    model_config = STRICT
    port: int | None = Field(default=None, ge=1, le=65535)


class HostKeyBody(Body):
    """A node's SSH host key, compared with the one on the node itself."""

    host_key: str = Field(max_length=8192)
    """OpenSSH form: `ssh-ed25519 AAAA...`."""
    address: str | None = Field(default=None, max_length=253)
    """By default as it was; like the port."""
    port: int | None = Field(default=None, ge=1, le=65535)


class SshBody(Body):
    """How the nodes are reached by SSH."""

    username: str = "root"
    password: SecretStr | None = None
    private_key: SecretStr | None = None
    port: int = Field(default=22, ge=1, le=65535)
    nodes: Mapping[str, SshNodeBody] = Field(default_factory=dict)


class VmidRangeBody(VmidRange):
    """The VMIDs that Slipway chooses from, both ends included."""

    model_config = STRICT
    first: int = Field(ge=100, le=999_999_999)
    last: int = Field(ge=100, le=999_999_999)


class ClusterBody(Body):
    """A cluster to add; it is tested before it is saved."""

    name: str = Field(min_length=1, max_length=63)
    endpoint: str
    endpoints: tuple[str, ...] = Field(default=(), max_length=32)
    """Further ones of the same cluster; those of its nodes are found by themselves."""
    token_id: str | None = None
    token_secret: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    tls_fingerprint: str | None = None
    ca: str | None = None
    tier: Tier = Tier.FULL
    """How much Slipway may do there: observe, operate or full."""
    vmids: VmidRangeBody | None = None
    """Those that Slipway chooses from; all by default."""
    ssh: SshBody = SshBody()
    """Needed at tier full, and refused below it."""


class BoundsBody(AccessBounds):
    """What access is bound to on the node; empty is no bound."""

    model_config = STRICT
    vmids: str = Field(default="", max_length=2000)
    pool: str = Field(default="", max_length=200)
    mounts: str = Field(default="", max_length=4000)
    devices: str = Field(default="", max_length=2000)
    features: str = Field(default="", max_length=200)
    hookscripts: str = Field(default="", max_length=2000)


class ProbeBody(Body):
    """A machine whose SSH host key and certificate are asked for."""

    address: str = Field(min_length=1, max_length=253)
    port: int = Field(default=22, ge=1, le=65535)
    api_port: int = Field(default=8006, ge=1, le=65535)


class ReconnectBody(ProbeBody):
    """A node on which access is made with root's password, which is used once and stored nowhere."""

    host_key: str = Field(max_length=8192)
    """OpenSSH form; a person has compared it with the one on the node itself."""
    password: SecretStr = Field(min_length=1, max_length=1024)
    """Root's."""
    tls_fingerprint: str | None = Field(default=None, max_length=200)
    """Of the API's certificate; by default what the node itself says."""
    tier: Tier = Tier.FULL
    bounds: BoundsBody = BoundsBody()


class ConnectBody(ReconnectBody):
    """The same, of a cluster that is new."""

    name: str = Field(min_length=1, max_length=63)


class ScriptBody(Body):
    """For what the token script is wanted."""

    name: str = Field(default="home", min_length=1, max_length=63)
    id: str | None = Field(default=None, pattern=r"^[a-z0-9]{1,20}$")
    """The id of a run before, whose token and key it makes anew; a new one by default."""
    address: str = Field(default="", max_length=253)
    """The node's, if it shall not be its first one."""
    tier: Tier = Tier.FULL
    bounds: BoundsBody = BoundsBody()
    is_removal: bool = False
    """Whether it takes away what was made under the id."""


class SshLoginBody(Body):
    """Another SSH login."""

    username: str | None = None
    password: SecretStr | None = None
    private_key: SecretStr | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    nodes: Mapping[str, SshNodeBody] | None = None
    """With their host keys; those that are not named stay."""


class ClusterAccessBody(Body):
    """Another way to reach a cluster; what is left out stays. It is tested before it is saved."""

    endpoint: str | None = None
    endpoints: tuple[str, ...] | None = Field(default=None, max_length=32)
    identity: str | None = Field(default=None, max_length=200)
    """Only if the cluster has got another certificate authority: the identity that the error names."""
    token_id: str | None = None
    token_secret: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    tls_fingerprint: str | None = None
    ca: str | None = None
    tier: Tier | None = None
    """Another tier; one below full removes the SSH login."""
    vmids: VmidRangeBody | None = None
    """Those that the new key is bound to: chosen from if the cluster has no VMID range."""
    ssh: SshLoginBody = SshLoginBody()


class OsTemplateBody(Body):
    """An OS template to download."""

    template: str = Field(min_length=1, max_length=255)
    """Its archive, or the beginning of its name: then the newest for the node's architecture."""
    node: str | None = Field(default=None, max_length=127)
    """By default the first that offers it."""
    storage: str | None = Field(default=None, max_length=127)
    """By default the node's storage for OS templates with the most free space."""


class ClusterLimitsBody(ClusterLimits):
    """What containers of a cluster may use of their hosts; what is left out is not allowed."""

    model_config = STRICT
    mount_paths: tuple[str, ...] = Field(default=(), max_length=64)


class SiteDefaultsBody(SiteDefaults):
    """What new containers of a cluster have where their requests say nothing; all of it."""

    model_config = STRICT
    tags: tuple[str, ...] = Field(default=(), max_length=32)
