"""What a cluster and its nodes' host keys may be. Pure; every fault names its field."""

import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from slipway.contracts.clusters import ChangeClusterAccess, ClusterFacts, ClusterSpec, SshNode
from slipway.contracts.problems import FieldError, Invalid

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ENDPOINT = re.compile(r"https://[A-Za-z0-9._\[\]:-]{1,300}")
_HOST_KEY = re.compile(
    r"(?P<key>[a-z][a-z0-9@.-]{5,60} [A-Za-z0-9+/]{40,4000}={0,3})( [^\x00-\x1f\x7f]{0,200})?"
)
_INSTEAD = MappingProxyType(
    {"token_id": "username", "username": "token_id", "tls_fingerprint": "ca", "ca": "tls_fingerprint"}
)
"""What takes the place of what."""
_SSH = frozenset({"ssh_password", "ssh_private_key"})
_ADDRESS = re.compile(r"[A-Za-z0-9._:-]{1,253}")


class ClusterInvalid(Invalid):
    """The cluster can't be as it was described."""

    code = "cluster.invalid"


class HostKeyRefused(Invalid):
    """The node was not reached with this host key."""

    code = "node.host-key-refused"


def check(spec: ClusterSpec, secrets: Collection[str]) -> None:
    """Refuse a description that can't be tried; all faults together.

    Args:
        spec: the cluster's.
        secrets: which of `ClusterSecrets` there are.
    """
    errors = tuple(_faults(spec, secrets))
    if errors:
        told = "; ".join(f"{each.field}: {each.message}" for each in errors)
        raise ClusterInvalid(f"The cluster can't be as described: {told}", errors=errors)


def changes_of(query: ChangeClusterAccess) -> Mapping[str, object]:
    """Give what changes of a cluster's description; what takes another's place takes it away."""
    given = {name: value for name, value in query if name in ClusterSpec.model_fields and value is not None}
    gone = {other: None for name, other in _INSTEAD.items() if name in given and other not in given}
    return {**gone, **given}


def kept_secrets(spec: ClusterSpec, known: Collection[str], given: Collection[str]) -> frozenset[str]:
    """Name the known secrets that are still needed beside given ones."""
    gone = {"password"} if spec.token_id is not None else {"token_secret"}
    if _SSH & set(given):
        gone |= _SSH
    return frozenset(known) - gone - frozenset(given)


def confirmed(spec: ClusterSpec, node: str, reached: SshNode) -> ClusterSpec:
    """Give a cluster one of whose nodes is reached so; what is not said stays as it was.

    Raises:
        ClusterInvalid: names what can't be such a key, address or port.
    """
    errors = tuple(_of_node(reached))
    if reached.host_key is None:
        errors = (FieldError(field="host_key", message="It has to be given."),)
    if errors:
        told = "; ".join(f"{each.field}: {each.message}" for each in errors)
        raise ClusterInvalid(told, errors=errors)
    given = {name: value for name, value in reached if value is not None}
    known = spec.nodes.get(node, SshNode()).model_copy(update=given)
    known = known.model_copy(update={"host_key": _without_comment(str(reached.host_key))})
    return spec.model_copy(update={"nodes": {**spec.nodes, node: known}})


def refuse_unreached(node: str, key: str, found: ClusterFacts) -> None:
    """Refuse a host key with which a test could not log in; says which one the node shows.

    Raises:
        HostKeyRefused: names the key, or the login if the key is right.
    """
    seen = next((each for each in found.nodes if each.node == node), None)
    if seen is not None and seen.is_ssh_usable:
        return
    why = (seen.ssh_problem if seen else None) or f"{node} was not found."
    shown = found.offered_host_keys.get(node)
    if shown is None or _without_comment(shown) == _without_comment(key):
        raise HostKeyRefused(why, errors=[FieldError(field="host_key", message=why)])
    message = (
        f"{why} It shows {_without_comment(shown)}; compare that with /etc/ssh/ssh_host_*_key.pub on the node"
        " itself, and confirm it only if it is one of them."
    )
    raise HostKeyRefused(message, errors=[FieldError(field="host_key", message=message)], shown=shown)


def _faults(spec: ClusterSpec, secrets: Collection[str]) -> Iterator[FieldError]:
    if not _NAME.fullmatch(spec.name):
        yield FieldError(field="name", message="1 to 63 small letters, digits and hyphens.")
    if not _ENDPOINT.fullmatch(spec.endpoint):
        yield FieldError(field="endpoint", message="It is like https://host:8006, without a path.")
    if (spec.token_id is None) == (spec.username is None):
        message = "Give token_id with token_secret, or username with password."
        yield FieldError(field="token_id", message=message)
    elif spec.token_id is not None and "token_secret" not in secrets:
        yield FieldError(field="token_secret", message="The token needs its secret.")
    elif spec.username is not None and "password" not in secrets:
        yield FieldError(field="password", message="The user needs its password.")
    if not _SSH & set(secrets):
        message = "Give ssh.password or ssh.private_key: parts of the work need pct."
        yield FieldError(field="ssh", message=message)
    for name, node in spec.nodes.items():
        for fault in _of_node(node):
            yield fault.model_copy(update={"field": f"nodes.{name}.{fault.field}"})


def _of_node(node: SshNode) -> Iterator[FieldError]:
    if node.host_key is not None and not _HOST_KEY.fullmatch(node.host_key):
        message = "One line of OpenSSH's form: ssh-ed25519 AAAA..."
        yield FieldError(field="host_key", message=message)
    if node.address is not None and not _ADDRESS.fullmatch(node.address):
        yield FieldError(field="address", message="A host's name or IP address.")
    if node.port is not None and not 1 <= node.port <= 65535:  # noqa: PLR2004  TCP's ports
        yield FieldError(field="port", message="1 to 65535.")


def _without_comment(key: str) -> str:
    found = _HOST_KEY.fullmatch(key)
    return found["key"] if found else key
