"""How to reach a cluster and its nodes: addresses, credentials, pins.

Values only; nothing here opens a connection. Secrets are `SecretStr`, so that no `repr` shows them, and two
accesses compare equal exactly when a connection made with one serves the other.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import urlsplit

from pydantic import SecretStr

from slipway.contracts.clusters import ClusterSpec, MemberEndpoint
from slipway.contracts.problems import FieldError, Invalid
from slipway.contracts.tiers import Tier

_FINGERPRINT = re.compile(r"(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}", re.IGNORECASE)
_PRINTABLE = re.compile(r"[!-~]+")
_TOKEN_ID = re.compile(r"(?P<user>[!-~]+@[A-Za-z][A-Za-z0-9._-]*)!(?P<name>[A-Za-z][A-Za-z0-9._-]*)")
"""As `PVE::AccessControl` has it, of ASCII alone: it goes into an HTTP header."""
DEFAULT_PORT = 8006


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAccess:
    """The HTTPS API of a cluster, with a token or a password, and how its certificate is known.

    A token is the better choice: no login, no renewal, and its name stands in the user of every task.
    """

    endpoint: str
    """`https://host` or `https://host:port`; 8006 by default."""
    token_id: str | None = None
    """`user@realm!name`."""
    token_secret: SecretStr | None = None
    username: str | None = None
    """`user@realm`."""
    password: SecretStr | None = None
    tls_fingerprint: str | None = None
    """SHA-256 of the server's certificate, as the Proxmox web interface shows it; colons optional."""
    ca: str | None = None
    """The cluster's CA certificate (PEM text). Without pin and CA, the CAs known to Python decide."""
    others: tuple[str, ...] = ()
    """Further endpoints; trusted like the first."""
    members: tuple[tuple[str, str], ...] = ()
    """The nodes' own endpoints, and the fingerprints of their certificates as the cluster lists them."""
    believed: tuple[str, ...] = ()
    """Further fingerprints that are accepted if one is pinned."""
    name: str = "{cluster}"
    """The cluster's name in Slipway, for messages to people."""

    def __post_init__(self) -> None:
        """Refuse an access that can't connect."""
        parts = urlsplit(self.endpoint)
        if parts.scheme != "https" or not parts.hostname or parts.path.strip("/"):
            raise _invalid("endpoint", "write it as https://host or https://host:port")
        if (self.token_id is None) == (self.username is None):
            raise _invalid("token_id", "give either a token or a user name")
        if self.token_id is not None and not (_TOKEN_ID.fullmatch(self.token_id) and self.token_secret):
            raise _invalid("token_id", "write it as user@realm!name, and give its secret")
        if self.token_secret is not None and not _PRINTABLE.fullmatch(self.token_secret.get_secret_value()):
            raise _invalid("token_secret", "write it as Proxmox showed it: one word, without a line break")
        if self.username is not None and not ("@" in self.username and self.password):
            raise _invalid("username", "write it as user@realm, and give the password")
        if self.tls_fingerprint is not None and not _FINGERPRINT.fullmatch(self.tls_fingerprint):
            raise _invalid("tls_fingerprint", "must be a SHA-256 fingerprint: 32 pairs of hex digits")
        if self.tls_fingerprint is not None and self.ca is not None:
            raise _invalid("ca", "give either a fingerprint or a CA")

    @property
    def pins(self) -> frozenset[str]:
        """Fingerprints in small hex digits, of which a certificate must have one; empty if a CA decides."""
        if self.tls_fingerprint is None:
            return frozenset()
        return frozenset(pin.replace(":", "").lower() for pin in (self.tls_fingerprint, *self.believed))

    def each(self) -> tuple[Self, ...]:
        """Return the access for each endpoint: the configured ones, then the nodes' own."""
        endpoints = (self.endpoint, *self.others, *(endpoint for endpoint, _ in self.members))
        return tuple(self.alone(endpoint) for endpoint in dict.fromkeys(endpoints))

    def alone(self, endpoint: str) -> Self:
        """Return the access for one endpoint.

        With a pin, the certificate of any node of the cluster is trusted. With a CA, it decides about every
        endpoint. If public CAs decide about the configured endpoints, the nodes' own are trusted by their
        certificates.
        """
        fingerprints = dict(self.members)
        is_public = self.tls_fingerprint is None and self.ca is None
        is_own = endpoint in fingerprints and endpoint not in (self.endpoint, *self.others)
        pin = fingerprints[endpoint] if is_public and is_own else self.tls_fingerprint
        believed = tuple(sorted({*self.believed, *fingerprints.values()}))
        return replace(self, endpoint=endpoint, others=(), members=(), tls_fingerprint=pin, believed=believed)

    @property
    def base_url(self) -> str:
        """The URL in front of the API's paths."""
        parts = urlsplit(self.endpoint)
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        return f"https://{host}:{parts.port or DEFAULT_PORT}/api2/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAccess:
    """SSH to one node, with its pinned host key."""

    name: str
    """The node's name in Proxmox."""
    address: str
    port: int = 22
    username: str = "root"
    password: SecretStr | None = None
    private_key: SecretStr | None = None
    """PEM or OpenSSH text."""
    host_key: str
    """The one host key that is accepted, as in `known_hosts`: `ssh-ed25519 AAAA...`."""

    def __post_init__(self) -> None:
        """Refuse an access that can't connect."""
        if self.password is None and self.private_key is None:
            raise _invalid("private_key", "give a private key or a password")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAccess:
    """Everything that is needed to act on a cluster."""

    api: ApiAccess
    nodes: Mapping[str, NodeAccess] = field(default_factory=dict)
    """By node name; a node without access can be read, not changed."""
    tier: Tier = Tier.FULL
    """How much may be done there."""


def api_access(
    spec: ClusterSpec, secrets: Mapping[str, SecretStr], members: Sequence[MemberEndpoint] = ()
) -> ApiAccess:
    """Return the access to the API from inventory's spec and the opened secrets.

    Raises:
        Invalid: with the field's name.
    """
    return ApiAccess(
        endpoint=spec.endpoint,
        token_id=spec.token_id,
        token_secret=secrets.get("token_secret"),
        username=spec.username,
        password=secrets.get("password"),
        tls_fingerprint=spec.tls_fingerprint,
        ca=spec.ca,
        others=spec.endpoints,
        members=tuple((each.endpoint, each.tls_fingerprint) for each in members if each.tls_fingerprint),
        name=spec.name,
    )


def node_accesses(
    spec: ClusterSpec, secrets: Mapping[str, SecretStr], addresses: Mapping[str, str]
) -> Mapping[str, NodeAccess]:
    """Return the SSH access of nodes with a confirmed host key, address and login; none below tier full."""
    password, private_key = secrets.get("ssh_password"), secrets.get("ssh_private_key")
    if not spec.tier.uses_ssh or (password is None and private_key is None):
        return {}
    return {
        name: NodeAccess(
            name=name,
            address=address,
            port=node.port or spec.ssh_port,
            username=spec.ssh_username,
            password=password,
            private_key=private_key,
            host_key=node.host_key,
        )
        for name, node in spec.nodes.items()
        if node.host_key and (address := node.address or addresses.get(name))
    }


def _invalid(name: str, message: str) -> Invalid:
    return Invalid(
        f"The access to Proxmox can't be used: {name}: {message}.",
        code="proxmox.access-invalid",
        errors=[FieldError(field=name, message=message)],
    )
