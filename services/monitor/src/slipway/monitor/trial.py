"""Tries a cluster before it is added: what is there, or which of the inputs is wrong and why.

Nothing is kept: connections end with the test. A node whose SSH does not work is a finding, not an error.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from slipway.contracts.clusters import ClusterFacts, ClusterSpec, NodeFacts, TestCluster
from slipway.contracts.problems import FieldError, Invalid, SlipwayError, Unavailable
from slipway.monitor import facts
from slipway.monitor.access import Secrets, open_secrets
from slipway.proxmox.access import ApiAccess, api_access, node_accesses
from slipway.proxmox.answers import Version
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.errors import (
    AccessRefused,
    CertificateMismatch,
    NodeUnreachable,
    PermissionMissing,
    ProxmoxFailed,
    ProxmoxRejected,
)
from slipway.proxmox.links import scan_host_key
from slipway.proxmox.reading import NoteUnreadable, ignore_unreadable
from slipway.proxmox.ssh import NodeShell
from slipway.proxmox.tls import scan_fingerprint
from slipway.runtime.sealing import Sealer

DEADLINE_SECONDS = 18.0
API_TIMEOUT = timedelta(seconds=10)
SCAN_TIMEOUT = timedelta(seconds=4)
NEEDED = frozenset(
    {
        "Datastore.AllocateSpace",
        "Datastore.Audit",
        "Sys.Audit",
        "VM.Allocate",
        "VM.Audit",
        "VM.Config.CPU",
        "VM.Config.Disk",
        "VM.Config.Memory",
        "VM.Config.Network",
        "VM.Config.Options",
        "VM.PowerMgmt",
    }
)
"""Privileges without which no container could be made; on which path is the operator's choice."""


class ClusterUnreachable(Unavailable):
    """Nothing answers where the cluster should be, or none of its nodes."""

    code = "cluster.unreachable"
    retry_after_seconds = 5.0


class CertificateUnexpected(Invalid):
    """The server shows a certificate that was not expected."""

    code = "cluster.certificate-unexpected"


class CredentialsRefused(Invalid):
    """The cluster does not accept token or password."""

    code = "cluster.credentials-refused"


class PrivilegeMissing(Invalid):
    """Token or user may not do what Slipway has to."""

    code = "cluster.privilege-missing"


class NotProxmox(Invalid):
    """Something answers, but it is no Proxmox."""

    code = "cluster.not-proxmox"


class NodeNotThere(Invalid):
    """SSH access was given for a node that the cluster does not have."""

    code = "cluster.node-unknown"


class Trial:
    """Tests clusters."""

    def __init__(
        self, sealer: Sealer, *, record: Path | None, unreadable: NoteUnreadable = ignore_unreadable
    ) -> None:
        self._sealer = sealer
        self._record = record
        self._unreadable = unreadable

    async def test(self, query: TestCluster) -> ClusterFacts:
        """Reach the cluster over API and SSH and say what is there."""
        spec = query.spec
        secrets = open_secrets(self._sealer, query.secrets, owner=spec.name)
        access = api_access(spec, secrets)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await self._reach(spec, secrets, access)
        except TimeoutError as error:
            raise _unreachable(spec, f"no complete answer within {DEADLINE_SECONDS:g} s") from error
        except SlipwayError as error:
            raise await _blamed(error, spec) from error

    async def _reach(self, spec: ClusterSpec, secrets: Secrets, access: ApiAccess) -> ClusterFacts:
        async with AsyncExitStack() as stack:
            api = ProxmoxApi(access, record=self._record, timeout=API_TIMEOUT, unreadable=self._unreadable)
            stack.push_async_callback(api.aclose)
            version = await _version(api, spec)
            _require(await api.permissions(), spec)
            members = await api.cluster_status()
            _require_known(spec, {member.name for member in members if member.type == "node"})
            addresses = {member.name: member.ip for member in members if member.ip}
            shells = {name: NodeShell(node) for name, node in node_accesses(spec, secrets, addresses).items()}
            for shell in shells.values():
                stack.push_async_callback(shell.aclose)
            read = await facts.read(api, shells, without_shell=_without_shell(secrets))
            _require_one(read, spec)
            nodes = tuple(each.facts for each in read)
            offered = await _offered(spec, [node for node in nodes if not node.is_ssh_usable])
            return ClusterFacts(version=version.version, nodes=nodes, offered_host_keys=offered)


async def _version(api: ProxmoxApi, spec: ClusterSpec) -> Version:
    try:
        return await api.version()
    except SlipwayError as error:
        # Their subclasses are what only a Proxmox says.
        if type(error) not in {ProxmoxFailed, ProxmoxRejected}:
            raise
        message = f"What answers at {spec.endpoint} is not the Proxmox API: {error.message}"
        raise NotProxmox(message, errors=[FieldError(field="endpoint", message=message)]) from error


def _require_known(spec: ClusterSpec, nodes: AbstractSet[str]) -> None:
    known = ", ".join(sorted(nodes))
    faults = [
        FieldError(field=f"nodes.{name}", message=f"The cluster has no node {name!r}; it has {known}.")
        for name in sorted(spec.nodes.keys() - nodes)
    ]
    if faults:
        raise NodeNotThere(faults[0].message, errors=faults)


def _without_shell(secrets: Secrets) -> str:
    if secrets.keys() & {"ssh_password", "ssh_private_key"}:
        return "Its SSH host key is not confirmed: compare the offered one and add it to the cluster."
    return "No SSH login was given: a private key or a password is needed."


def _require(held: Mapping[str, Iterable[str]], spec: ClusterSpec) -> None:
    missing = sorted(NEEDED.difference(*held.values()))
    if missing:
        raise _lacks(spec, f"lacks {', '.join(missing)}")


def _require_one(read: Sequence[facts.NodeReading], spec: ClusterSpec) -> None:
    """Refuse a cluster of which no node tells enough."""
    if any(each.facts.is_online and each.problem is None for each in read):
        return
    problem = next((each.problem for each in read if each.problem is not None), None)
    raise problem or _unreachable(spec, "none of its nodes is online")


async def _offered(spec: ClusterSpec, nodes: Sequence[NodeFacts]) -> Mapping[str, str]:
    """Scan the host keys of those nodes that Slipway can't log in to; who is silent offers none."""

    async def scan(node: NodeFacts) -> str | None:
        told = spec.nodes.get(node.node)
        address = (told.address if told else None) or node.address
        if address is None or not node.is_online:
            return None
        try:
            port = (told.port if told else None) or spec.ssh_port
            return await scan_host_key(address, port=port, timeout=SCAN_TIMEOUT)
        except SlipwayError:
            return None

    keys = await asyncio.gather(*(scan(node) for node in nodes))
    return {node.node: key for node, key in zip(nodes, keys, strict=True) if key is not None}


async def _blamed(error: SlipwayError, spec: ClusterSpec) -> SlipwayError:
    """Say a host's error as a wrong input, with the field's name."""
    if isinstance(error, CertificateMismatch):
        return await _unexpected(error, spec)
    if isinstance(error, AccessRefused):
        field = "token_secret" if spec.token_id else "password"
        message = f"Proxmox does not accept {spec.token_id or spec.username}: {error.message}"
        return CredentialsRefused(message, errors=[FieldError(field=field, message=message)])
    if isinstance(error, PermissionMissing):
        return _lacks(spec, f"may not: {error.message}")
    if isinstance(error, Invalid) and not error.errors and spec.ca:
        return Invalid(error.message, code=error.code, errors=[FieldError(field="ca", message=error.message)])
    if isinstance(error, NodeUnreachable):
        return _unreachable(spec, error.message)
    return error


async def _unexpected(error: CertificateMismatch, spec: ClusterSpec) -> SlipwayError:
    try:
        seen = await scan_fingerprint(spec.endpoint, timeout=SCAN_TIMEOUT)
    except SlipwayError as silent:
        return _unreachable(spec, silent.message)
    message = (
        f"{error.message} Its SHA-256 fingerprint is {seen}; "
        "compare it with the one that the node shows, and give it if they are the same."
    )
    field = "ca" if spec.ca else "tls_fingerprint"
    faults = [FieldError(field=field, message=message)]
    return CertificateUnexpected(message, errors=faults, fingerprint=seen)


def _unreachable(spec: ClusterSpec, why: str) -> ClusterUnreachable:
    message = f"No Proxmox answers at {spec.endpoint}: {why} Check address, port and firewall."
    return ClusterUnreachable(message, errors=[FieldError(field="endpoint", message=message)])


def _lacks(spec: ClusterSpec, what: str) -> PrivilegeMissing:
    field = "token_id" if spec.token_id else "username"
    message = f"{spec.token_id or spec.username} {what}. Give it a role with these privileges."
    return PrivilegeMissing(message, errors=[FieldError(field=field, message=message)])
