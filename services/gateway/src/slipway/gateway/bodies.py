"""What may be sent. Unknown fields are refused by name: a typo is never silently nothing."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, create_model, field_validator

from slipway.contracts.bulk import LONGEST_SELECTION, MOST_LIKE_ONE
from slipway.contracts.container_specs import ContainerSpec, MountSpec, NetworkSpec, PackageSpec
from slipway.contracts.job_kinds import KINDS, AnyArgs, Args, JobKind, NoArgs
from slipway.contracts.message import Id
from slipway.contracts.values import OnFailure, Phase

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NetworkBody(NetworkSpec):
    """One network device."""

    model_config = _STRICT


class MountBody(MountSpec):
    """One additional volume."""

    model_config = _STRICT


class PackagesBody(PackageSpec):
    """Packages for one manager."""

    model_config = _STRICT


class ContainerBody(ContainerSpec):
    """A container to create: `hostname`, and `template` or `ostemplate`; everything else has a default."""

    model_config = _STRICT
    networks: tuple[NetworkBody, ...] = Field(default=(), max_length=32)
    mounts: tuple[MountBody, ...] = Field(default=(), max_length=256)
    packages: tuple[PackagesBody, ...] = Field(default=(), max_length=16)
    password: SecretStr | None = None
    """Root's; generated when none is given."""
    count: int | None = Field(default=None, ge=1, le=MOST_LIKE_ONE)
    """So many like this one, as one batch: `NAME-1`, `NAME-2`, ..."""


class _StrictArgs(Args):
    model_config = _STRICT


_STRICT_PARTS: Mapping[str, tuple[Any, int]] = {
    "networks": (tuple[NetworkBody, ...] | None, 32),
    "mounts": (tuple[MountBody, ...] | None, 256),
}
"""Arguments with parts of their own: their strict type, and how many parts there may be."""


@cache
def args_body(args: type[Args]) -> type[Args]:
    """Return the model of a request's arguments: those of the kind, where unknown fields are refused."""
    fields: dict[str, Any] = {
        name: (part, Field(default=None, max_length=most, description=args.model_fields[name].description))
        for name, (part, most) in _STRICT_PARTS.items()
        if name in args.model_fields
    }
    name = f"{args.__name__.removesuffix('Args')}Body"
    return create_model(name, __base__=(args, _StrictArgs), __doc__=args.__doc__, **fields)


class JobBody(BaseModel):
    """A job on a container that exists, or on each of a selection."""

    model_config = _STRICT
    kind: JobKind
    container: Id | None = None
    selection: str | None = Field(default=None, max_length=LONGEST_SELECTION)
    """`101,105-110,tag:prod+node:pve1,name:web-*`: a comma adds, a `+` narrows."""
    plan: str | None = Field(default=None, max_length=128)
    """The hash of the plan that was shown; a selection of which something is destroyed needs it."""
    args: AnyArgs = Field(default=NoArgs(), validate_default=True)
    on_failure: OnFailure = OnFailure.KEEP

    @field_validator("args", mode="before")
    @classmethod
    def _args_of_kind(cls, args: Any, body: ValidationInfo) -> Any:
        """Read the arguments as those of the kind, which is validated before them."""
        if "kind" not in body.data:
            return NoArgs()
        values = dict(args) if isinstance(args, Args) else args
        return args_body(KINDS[body.data["kind"]].args).model_validate(values)


class RetryBody(BaseModel):
    """Where a retry begins; of a batch, what was shown of it."""

    model_config = _STRICT
    phase: Phase | None = None
    """The step that failed, if none is given."""
    plan: str | None = Field(default=None, max_length=128)
    """Of a batch: the hash of the plan that was shown; one that destroys needs it."""


class SshNodeBody(BaseModel):
    """How one node is reached by SSH."""

    model_config = _STRICT
    address: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    host_key: str | None = None


class HostKeyBody(BaseModel):
    """A node's SSH host key, compared with the one on the node itself."""

    model_config = _STRICT
    host_key: str = Field(max_length=8192)
    """OpenSSH form: `ssh-ed25519 AAAA...`."""
    address: str | None = Field(default=None, max_length=253)
    """As it was, if none is given; like the port."""
    port: int | None = Field(default=None, ge=1, le=65535)


class SshBody(BaseModel):
    """How the nodes are reached by SSH."""

    model_config = _STRICT
    username: str = "root"
    password: SecretStr | None = None
    private_key: SecretStr | None = None
    port: int = Field(default=22, ge=1, le=65535)
    nodes: Mapping[str, SshNodeBody] = Field(default_factory=dict)


class ClusterBody(BaseModel):
    """A cluster to add; it is tested before it is saved."""

    model_config = _STRICT
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
    ssh: SshBody


class SshLoginBody(BaseModel):
    """Another SSH login."""

    model_config = _STRICT
    username: str | None = None
    password: SecretStr | None = None
    private_key: SecretStr | None = None
    port: int | None = Field(default=None, ge=1, le=65535)


class ClusterAccessBody(BaseModel):
    """Another way to reach a cluster; what is left out stays. It is tested before it is saved."""

    model_config = _STRICT
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
    ssh: SshLoginBody = SshLoginBody()


class VmidRangeBody(BaseModel):
    """The VMIDs that Slipway chooses from, both ends included."""

    model_config = _STRICT
    first: int = Field(ge=100, le=999_999_999)
    last: int = Field(ge=100, le=999_999_999)


class SessionBody(BaseModel):
    """Signing in."""

    model_config = _STRICT
    secret: SecretStr


class SessionAnswer(BaseModel):
    """Who is signed in."""

    actor: str


class RevealedAnswer(BaseModel):
    """A credential in clear; the one place where one is."""

    id: str
    name: str
    value: str


class VersionAnswer(BaseModel):
    """Which Slipway answers."""

    version: str


class ProblemField(BaseModel):
    """One wrong input."""

    field: str
    message: str


class ProblemAnswer(BaseModel):
    """An error, as RFC 9457 wants it, with a stable code for programs."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    message: str
    correlation_id: str
    errors: tuple[ProblemField, ...] = ()
    details: Mapping[str, str] = Field(default_factory=dict)
