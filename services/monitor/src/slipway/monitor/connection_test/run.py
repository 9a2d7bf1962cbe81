"""Test a cluster before it is added or its access changes: return its facts, or which input is wrong.

Nothing is stored: connections end with the test. A node that is away, or whose host key nobody has confirmed
yet, is part of the result; a login that works on no node is an error.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from slipway.contracts.checks import CheckName
from slipway.contracts.cluster_facts import ClusterFacts
from slipway.contracts.clusters import ClusterSpec, TestCluster
from slipway.contracts.problems import FieldError, SlipwayError
from slipway.monitor.access import Secrets, missing_privileges, open_secrets, surplus_privileges
from slipway.monitor.connection_test import checks, endpoints, ssh_logins
from slipway.monitor.connection_test.input_errors import (
    NodeNotThere,
    NotProxmox,
    as_input_error,
    privilege_missing,
    privilege_surplus,
    unreachable,
)
from slipway.monitor.facts import certificates, reader
from slipway.proxmox.access import api_access, node_accesses
from slipway.proxmox.answers import ClusterMember, Version
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.errors import ProxmoxFailed, ProxmoxRejected
from slipway.proxmox.reading import NoteUnreadable, ignore_unreadable
from slipway.proxmox.ssh import NodeShell
from slipway.runtime.secrets.sealing import Sealer

DEADLINE_SECONDS = 18.0
API_TIMEOUT = timedelta(seconds=10)
NODE_TIMEOUT = timedelta(seconds=7)
"""A node that is away leaves time for another endpoint before it, and for new ones after it."""


@dataclass(slots=True)
class Progress:
    """How far a test has come."""

    check: CheckName = CheckName.REACHABLE
    """The one that is being made."""
    facts: ClusterFacts = field(default_factory=lambda: ClusterFacts(version="", nodes=()))
    """What was seen so far."""


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """Tests clusters."""

    sealer: Sealer
    record: Path | None
    unreadable: NoteUnreadable = ignore_unreadable

    async def run(self, query: TestCluster) -> ClusterFacts:
        """Connect to the cluster over API and SSH; return its facts, with what became of each check."""
        progress = Progress()
        try:
            facts = await self._tested(query, progress)
        except SlipwayError as error:
            error.checks = checks.of_error(error, progress.check)
            if not query.is_anyway:
                raise
            return progress.facts.model_copy(update={"checks": error.checks})
        is_ssh_tried = query.spec.tier.uses_ssh
        return facts.model_copy(
            update={"checks": checks.of_facts(facts, query.spec, is_ssh_tried=is_ssh_tried)}
        )

    async def _tested(self, query: TestCluster, progress: Progress) -> ClusterFacts:
        spec = query.spec
        secrets = open_secrets(self.sealer, query.secrets, owner=spec.name)
        ssh_logins.check_key(secrets)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), AsyncExitStack() as stack:
                return await self._read(query, secrets, stack, progress)
        except TimeoutError as error:
            raise unreachable(spec, f"no complete answer within {DEADLINE_SECONDS:g} s") from error
        except SlipwayError as error:
            raise await as_input_error(error, spec) from error

    async def _read(
        self, query: TestCluster, secrets: Secrets, stack: AsyncExitStack, progress: Progress
    ) -> ClusterFacts:
        access = api_access(query.spec, secrets, query.members)
        api = ProxmoxApi(
            # A new cluster is tested at the endpoint of the request, a known one at any of its endpoints.
            access if query.is_known else access.alone(access.endpoint),
            record=self.record,
            timeout=API_TIMEOUT,
            unreadable=self.unreadable,
        )
        stack.push_async_callback(api.aclose)
        version = await _version(api, query.spec)
        progress.check = CheckName.PRIVILEGES
        _require(await api.permissions(), query.spec)
        progress.check = CheckName.NODES
        members = await api.cluster_status()
        spec = _of_members(query, {member.name for member in members if member.type == "node"})
        addresses = {member.name: member.ip for member in members if member.ip}
        shells = {name: NodeShell(node) for name, node in node_accesses(spec, secrets, addresses).items()}
        for shell in shells.values():
            stack.push_async_callback(shell.aclose)
        readings, tries = await asyncio.gather(
            reader.read(
                api,
                shells,
                without_shell=_without_shell(spec, secrets),
                node_timeout=NODE_TIMEOUT,
                reads_devices=False,
            ),
            ssh_logins.try_logins(spec, secrets, members if spec.tier.uses_ssh else (), shells),
        )
        identity = _identity(members, readings)
        facts = progress.facts = ClusterFacts(
            version=version.version,
            nodes=ssh_logins.with_failed_logins((each.facts for each in readings), tries),
            offered_host_keys=ssh_logins.offered_keys(tries),
            identity=identity,
        )
        _require_one(readings, spec)
        progress.check = CheckName.SSH
        if query.needs_ssh and spec.tier.uses_ssh:
            ssh_logins.refuse_if_none_works(spec, secrets, tries)
        progress.check = CheckName.ENDPOINTS
        shown = tuple(each.facts.tls_fingerprint for each in readings if each.facts.tls_fingerprint)
        reached = endpoints.ReachedCluster(
            access=replace(access, believed=shown), members=members, identity=identity
        )
        await endpoints.refuse_unusable(query, reached, record=self.record)
        return facts


async def _version(api: ProxmoxApi, spec: ClusterSpec) -> Version:
    try:
        return await api.version()
    except SlipwayError as error:
        # Only a Proxmox answers with one of their subclasses.
        if type(error) not in {ProxmoxFailed, ProxmoxRejected}:
            raise
        message = f"What answers at {spec.endpoint} is not the Proxmox API: {error.message}"
        raise NotProxmox(message, errors=[FieldError(field="endpoint", message=message)]) from error


def _of_members(query: TestCluster, nodes: AbstractSet[str]) -> ClusterSpec:
    """Return the spec with the nodes of the cluster only; refuse others of a new cluster."""
    names = ", ".join(sorted(nodes))
    faults = [
        FieldError(field=f"ssh.nodes.{name}", message=f"The cluster has no node {name!r}; it has {names}.")
        for name in sorted(query.spec.nodes.keys() - nodes)
    ]
    if faults and not query.is_known:
        raise NodeNotThere(faults[0].message, errors=faults)
    there = {name: node for name, node in query.spec.nodes.items() if name in nodes}
    return query.spec.model_copy(update={"nodes": there})


def _without_shell(spec: ClusterSpec, secrets: Secrets) -> str | None:
    if not spec.tier.uses_ssh:
        return None
    if secrets.keys() & {"ssh_password", "ssh_private_key"}:
        return "Its SSH host key is not confirmed: compare the offered one and add it to the cluster."
    return "No SSH login was given: a private key or a password is needed."


def _require(held: Mapping[str, Iterable[str]], spec: ClusterSpec) -> None:
    missing = missing_privileges(spec.tier, held)
    if missing:
        raise privilege_missing(spec, f"lacks {', '.join(missing)}")
    surplus = surplus_privileges(spec.tier, held)
    if surplus:
        raise privilege_surplus(spec, surplus)


def _require_one(readings: Sequence[reader.NodeReading], spec: ClusterSpec) -> None:
    """Refuse a cluster of which no node has answered."""
    if any(each.facts.is_online and each.problem is None for each in readings):
        return
    problem = next((each.problem for each in readings if each.problem is not None), None)
    raise problem or unreachable(spec, "none of its nodes is online")


def _identity(members: Sequence[ClusterMember], readings: Sequence[reader.NodeReading]) -> str | None:
    identity = next((each.facts.cluster_identity for each in readings if each.facts.cluster_identity), None)
    return identity or certificates.identity_without_ca(
        members, (each.facts.tls_fingerprint for each in readings)
    )
