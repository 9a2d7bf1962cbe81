"""Checks the descriptions of clusters and their nodes' host keys. Pure; every fault names its field."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

from slipway.contracts.cluster_facts import ClusterFacts
from slipway.contracts.clusters import ChangeClusterAccess, ClusterSpec, MemberEndpoint, SshNode
from slipway.contracts.connections import ADDRESS_PATTERN, TOKEN_PATTERN, NodeLogin
from slipway.contracts.problems import Conflict, FieldError, Invalid
from slipway.contracts.tiers import Tier
from slipway.inventory.faults import at, refuse

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ENDPOINT = re.compile(
    r"https://(?P<host>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE,
)
_NAME_FORM = "1 to 63 small letters, digits and hyphens: Slipway's own name of it, for selections."
_HOST_KEY_FORM = "One line of OpenSSH's form: ssh-ed25519 AAAA..."
_API_PORT = 8006
_MOST_ENDPOINTS = 32
"""As many as a Proxmox cluster may have nodes."""
_LABEL = 63
"""The longest part of a host's name (RFC 1035)."""
_LAST_PORT = 65535
_USERNAME = re.compile(r"[A-Za-z0-9_][!-~]{0,255}")
_HOST_KEY = re.compile(
    r"(?P<key>[a-z][a-z0-9@.-]{5,60} [A-Za-z0-9+/]{40,4000}={0,3})( [^\x00-\x1f\x7f]{0,200})?"
)
_INSTEAD = MappingProxyType(
    {"token_id": "username", "username": "token_id", "tls_fingerprint": "ca", "ca": "tls_fingerprint"}
)
"""Fields that replace one another."""
_CA = "ca:"
_SSH = frozenset({"ssh_password", "ssh_private_key"})
_ADDRESS = re.compile(ADDRESS_PATTERN)


class ClusterInvalid(Invalid):
    """The cluster can't be as it was described."""

    code = "cluster.invalid"


class AnotherCluster(Conflict):
    """Another cluster answers at the endpoint."""

    code = "cluster.another"


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
        text = "; ".join(f"{each.field}: {each.message}" for each in errors)
        raise ClusterInvalid(f"The cluster can't be as described: {text}", errors=errors)


def check_login(name: str, login: NodeLogin, api_port: int) -> None:
    """Refuse a node's login that can't be tried; all faults together."""
    errors = [fault for fault in _of_node(SshNode(**dict(login))) if fault.field != "host_key"]
    if not _NAME.fullmatch(name):
        errors.insert(0, FieldError(field="name", message=_NAME_FORM))
    if not _HOST_KEY.fullmatch(login.host_key):
        errors.append(FieldError(field="host_key", message=_HOST_KEY_FORM))
    if not 1 <= api_port <= _LAST_PORT:
        errors.append(FieldError(field="api_port", message=f"1 to {_LAST_PORT}."))
    refuse(ClusterInvalid, errors)


def endpoint_of(address: str, port: int) -> str:
    """Return the endpoint of an API."""
    return f"https://{f'[{address}]' if ':' in address else address}:{port}"


def access_id(token_id: str | None) -> str | None:
    """Return the id under which the token script made a token; None: it did not make it."""
    match = re.fullmatch(TOKEN_PATTERN, token_id or "")
    return match["id"] if match else None


def left_there(spec: ClusterSpec) -> Mapping[str, object]:
    """Return what a removal says of the access that stays on Proxmox."""
    address, port = spec.ssh_place()
    return {"access_id": access_id(spec.token_id), "address": address, "ssh_port": port}


def changes_of(query: ChangeClusterAccess, spec: ClusterSpec) -> Mapping[str, object]:
    """Return the changes of a cluster's description; a field that replaces another one clears it."""
    changes = {name: value for name, value in query if name in ClusterSpec.model_fields and value is not None}
    if spec.vmids is not None:
        # Which VMIDs are chosen from was said before; what the key is bound to only stands in for that.
        changes.pop("vmids", None)
    if query.nodes is not None:
        changes["nodes"] = {**spec.nodes, **query.nodes}
    gone = {other: None for name, other in _INSTEAD.items() if name in changes and other not in changes}
    return {**gone, **changes}


def normal(spec: ClusterSpec) -> ClusterSpec:
    """Return a checked description whose endpoints are written in the one way in which they compare."""
    first = normal_endpoint(spec.endpoint)
    others = dict.fromkeys(normal_endpoint(each) for each in spec.endpoints)
    return spec.model_copy(
        update={"endpoint": first, "endpoints": tuple(each for each in others if each != first)}
    )


def normal_endpoint(endpoint: str) -> str:
    """Write an endpoint with a small host name, its port, and nothing after it; no other text changes."""
    match = _ENDPOINT.fullmatch(endpoint)
    return f"https://{match['host'].lower()}:{int(match['port'] or _API_PORT)}" if match else endpoint


def member_endpoints(
    spec: ClusterSpec, nodes: Iterable[tuple[str, str | None]]
) -> tuple[MemberEndpoint, ...]:
    """Return the endpoints of nodes (address, TLS fingerprint), with the port of the configured one."""
    match = _ENDPOINT.fullmatch(spec.endpoint)
    port = int((match["port"] if match else None) or _API_PORT)
    return tuple(
        MemberEndpoint(
            endpoint=endpoint_of(address, port),
            tls_fingerprint=fingerprint,
        )
        for address, fingerprint in nodes
    )


def changes_ssh(changes: Collection[str], secrets: Collection[str]) -> bool:
    """Return whether a change is about the SSH login, which then has to work; a new token needs none."""
    return bool({"ssh_username", "ssh_port", "tier", "nodes"} & set(changes) or _SSH & set(secrets))


def refuse_another(before: str | None, now: str | None, accepted: str | None, *, name: str) -> None:
    """Refuse access to another cluster than before.

    Args:
        before: the identity that was stored; None is not known.
        now: the identity of the one that was reached.
        accepted: the identity that the caller accepts now.
        name: the cluster's.
    """
    if before is None or now is None or now in (before, accepted):
        return
    if not (before.startswith(_CA) and now.startswith(_CA)):
        # Less than a certificate authority proves who it is, but not who it is not.
        return
    message = (
        f"Another cluster answers there: {name} is {before}, this one is {now}. Add that one under a name of "
        f"its own. If {name} itself has got a new certificate authority, send this along: "
        f'"identity": "{now}".'
    )
    raise at("endpoint", AnotherCluster, message, identity=now)


def stored_secrets(spec: ClusterSpec, stored: Collection[str], new: Collection[str]) -> frozenset[str]:
    """Return the stored secrets that are still needed beside new ones."""
    gone = {"password"} if spec.token_id is not None else {"token_secret"}
    if _SSH & set(new) or not spec.tier.uses_ssh:
        gone |= _SSH
    return frozenset(stored) - gone - frozenset(new)


def confirmed(spec: ClusterSpec, node: str, reached: SshNode) -> ClusterSpec:
    """Return a cluster with another way to reach one node; fields that are not set stay as they are.

    Raises:
        ClusterInvalid: names what can't be such a key, address or port.
    """
    errors = tuple(_of_node(reached))
    if reached.host_key is None:
        errors = (FieldError(field="host_key", message="It is needed."),)
    refuse(ClusterInvalid, errors)
    changes = {name: value for name, value in reached if value is not None}
    node_access = spec.nodes.get(node, SshNode()).model_copy(update=changes)
    node_access = node_access.model_copy(update={"host_key": _without_comment(str(reached.host_key))})
    return spec.model_copy(update={"nodes": {**spec.nodes, node: node_access}})


def refuse_unreached(node: str, key: str, facts: ClusterFacts) -> None:
    """Refuse a host key with which a test could not log in; says which one the node shows.

    Raises:
        HostKeyRefused: names the key, or the login if the key is right.
    """
    seen = next((each for each in facts.nodes if each.node == node), None)
    if seen is not None and seen.is_ssh_usable:
        return
    why = (seen.ssh_problem if seen else None) or f"{node} was not found."
    shown = facts.offered_host_keys.get(node)
    if shown is None or _without_comment(shown) == _without_comment(key):
        raise at("host_key", HostKeyRefused, why)
    message = (
        f"{why} It shows {_without_comment(shown)}; compare that with /etc/ssh/ssh_host_*_key.pub on the node"
        " itself, and confirm it only if it is one of them."
    )
    raise at("host_key", HostKeyRefused, message, shown=shown)


def _faults(spec: ClusterSpec, secrets: Collection[str]) -> Iterator[FieldError]:
    if not _NAME.fullmatch(spec.name):
        yield FieldError(
            field="name",
            message=_NAME_FORM,
        )
    yield from _of_endpoints(spec)
    if (spec.token_id is None) == (spec.username is None):
        message = "Give token_id with token_secret, or username with password."
        yield FieldError(field="token_id", message=message)
    elif spec.token_id is not None and "token_secret" not in secrets:
        yield FieldError(field="token_secret", message="The token needs its secret.")
    elif spec.username is not None and "password" not in secrets:
        yield FieldError(field="password", message="The user needs its password.")
    has_ssh = bool(_SSH & set(secrets))
    if spec.tier.uses_ssh and not has_ssh:
        message = (
            "Give ssh.password or ssh.private_key: parts of the work need pct. Without SSH, add it with tier "
            f"{Tier.OBSERVE} or {Tier.OPERATE}."
        )
        yield FieldError(field="ssh", message=message)
    elif has_ssh and not spec.tier.uses_ssh:
        message = f"At tier {spec.tier} there is no SSH access: leave it out, or send tier {Tier.FULL}."
        yield FieldError(field="ssh", message=message)
    if not _USERNAME.fullmatch(spec.ssh_username):
        yield FieldError(field="ssh.username", message="A user's name on the node: root.")
    for name, node in spec.nodes.items():
        for fault in _of_node(node):
            yield fault.model_copy(update={"field": f"ssh.nodes.{name}.{fault.field}"})


def _of_endpoints(spec: ClusterSpec) -> Iterator[FieldError]:
    named = [("endpoint", spec.endpoint)]
    named += [(f"endpoints.{index}", each) for index, each in enumerate(spec.endpoints)]
    for field, endpoint in named:
        match = _ENDPOINT.fullmatch(endpoint)
        if match is None or not all(0 < len(label) <= _LABEL for label in match["host"].split(".")):
            yield FieldError(field=field, message="It is like https://host:8006, without a path.")
        elif not 1 <= int(match["port"] or _API_PORT) <= _LAST_PORT:
            yield FieldError(field=field, message=f"The port is between 1 and {_LAST_PORT}.")
    if len(spec.endpoints) > _MOST_ENDPOINTS:
        yield FieldError(field="endpoints", message=f"At most {_MOST_ENDPOINTS}.")


def _of_node(node: SshNode) -> Iterator[FieldError]:
    if node.host_key is not None and not _HOST_KEY.fullmatch(node.host_key):
        yield FieldError(field="host_key", message=_HOST_KEY_FORM)
    if node.address is not None and not _is_address(node.address):
        yield FieldError(field="address", message="A host's name or IP address.")
    if node.port is not None and not 1 <= node.port <= _LAST_PORT:
        yield FieldError(field="port", message=f"1 to {_LAST_PORT}.")


def _is_address(text: str) -> bool:
    return bool(_ADDRESS.fullmatch(text)) and all(0 < len(part) <= _LABEL for part in text.split("."))


def _without_comment(key: str) -> str:
    match = _HOST_KEY.fullmatch(key)
    return match["key"] if match else key
