"""Test the SSH logins of a cluster that is added or changed, and return which input is wrong if none works.

A password is sent only to a node whose host key is confirmed. A private key is never disclosed, so it is
tried with an unconfirmed host key as well: a login that can't work is reported before host keys are compared.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from slipway.contracts.cluster_facts import NodeFacts
from slipway.contracts.clusters import ClusterSpec
from slipway.contracts.problems import FieldError, Invalid, SlipwayError
from slipway.monitor.access import Secrets
from slipway.proxmox.access import NodeAccess
from slipway.proxmox.answers import ClusterMember
from slipway.proxmox.errors import AccessRefused, HostKeyMismatch
from slipway.proxmox.links import refuse_unreadable_key, scan_host_key
from slipway.proxmox.login import PctMissing, check_login
from slipway.proxmox.ssh import NodeShell

LOGIN_TIMEOUT = timedelta(seconds=8)
SCAN_TIMEOUT = timedelta(seconds=4)


class SshKeyInvalid(Invalid):
    """The private SSH key can't be read."""

    code = "cluster.ssh-key-invalid"


class SshUnusable(Invalid):
    """The SSH login works on no node of the cluster."""

    code = "cluster.ssh-unusable"


class AnotherNode(Invalid):
    """The login works, but on another machine."""

    code = "ssh.another-node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One node, and the result of the login to it."""

    node: str
    address: str
    port: int
    is_usable: bool = False
    """The login works, with a confirmed host key."""
    offered: str | None = None
    """The host key that it shows, if none or another one is confirmed."""
    error: SlipwayError | None = None


def check_key(secrets: Secrets) -> None:
    """Raise `SshKeyInvalid` for a private key that can't be read; no node is needed for that."""
    key = secrets.get("ssh_private_key")
    if key is None:
        return
    try:
        refuse_unreadable_key(key)
    except Invalid as error:
        faults = [FieldError(field="ssh.private_key", message=error.message)]
        raise SshKeyInvalid(error.message, errors=faults) from None


async def try_logins(
    spec: ClusterSpec,
    secrets: Secrets,
    members: Sequence[ClusterMember],
    shells: Mapping[str, NodeShell],
) -> tuple[Login, ...]:
    """Log in to every node that is online.

    Args:
        spec: The cluster; the address of a node is by default the member's own.
        secrets: The opened secrets.
        members: The cluster's own list of its nodes.
        shells: The nodes whose host key is confirmed.
    """
    online = [each for each in members if each.type == "node" and each.online is not False]
    tries = (_try(spec, secrets, member, shells.get(member.name)) for member in online)
    return tuple(login for login in await asyncio.gather(*tries) if login is not None)


def offered_keys(logins: Sequence[Login]) -> Mapping[str, str]:
    """Return the host keys of the nodes that can't be used over SSH."""
    return {each.node: each.offered for each in logins if each.offered is not None}


def with_failed_logins(facts: Iterable[NodeFacts], logins: Sequence[Login]) -> tuple[NodeFacts, ...]:
    """Return the facts with the logins that failed; only a connection test tries all of them."""
    failed = {each.node: each.error for each in logins if each.error is not None}
    return tuple(
        each.model_copy(update={"is_ssh_usable": False, "ssh_problem": error.message})
        if (error := failed.get(each.node)) is not None
        else each
        for each in facts
    )


def refuse_if_none_works(spec: ClusterSpec, secrets: Secrets, logins: Sequence[Login]) -> None:
    """Raise `SshUnusable` if every login failed, with the inputs that can be wrong.

    A node that is away does not count while another one may work; a refused login counts unless it works
    elsewhere.
    """
    if any(each.is_usable for each in logins):
        return
    failed = [each for each in logins if each.error is not None]
    relevant = [each for each in failed if isinstance(each.error, AccessRefused | Invalid)]
    if len(failed) == len(logins):
        relevant = failed
    faults = [fault for each in relevant for fault in _faults(spec, secrets, each)]
    if faults:
        errors = tuple({fault.field: fault for fault in reversed(faults)}.values())[::-1]
        reasons = " ".join(dict.fromkeys(_message(each) for each in relevant))
        raise SshUnusable(f"No node of the cluster can be used over SSH. {reasons}", errors=errors)


async def _try(
    spec: ClusterSpec, secrets: Secrets, member: ClusterMember, shell: NodeShell | None
) -> Login | None:
    node = spec.nodes.get(member.name)
    address = (node.address if node else None) or member.ip
    if address is None:
        return None
    port = (node.port if node else None) or spec.ssh_port
    login = Login(node=member.name, address=address, port=port)
    try:
        if shell is not None:
            await _look_in(shell)
            return replace(login, is_usable=True)
        return await _with_offered_key(spec, secrets, login)
    except HostKeyMismatch as error:
        return replace(login, error=error, offered=await _offered(login))
    except SlipwayError as error:
        return replace(login, error=error)


async def _with_offered_key(spec: ClusterSpec, secrets: Secrets, login: Login) -> Login:
    """Read the host key that a node shows, and try a private key with it."""
    offered = await scan_host_key(login.address, port=login.port, timeout=SCAN_TIMEOUT)
    key = secrets.get("ssh_private_key")
    if key is None:
        return replace(login, offered=offered)
    access = NodeAccess(
        name=login.node,
        address=login.address,
        port=login.port,
        username=spec.ssh_username,
        private_key=key,
        host_key=offered,
    )
    shell = NodeShell(access)
    try:
        await _look_in(shell)
    except SlipwayError as error:
        return replace(login, offered=offered, error=error)
    finally:
        await shell.aclose()
    return replace(login, offered=offered)


async def _look_in(shell: NodeShell) -> None:
    """Raise unless the login is root's on the expected node."""
    name = (await check_login(shell, timeout=LOGIN_TIMEOUT)).hostname
    if name.lower() != shell.node.lower():
        raise AnotherNode(f"The SSH login to {shell.node} ends on a machine that calls itself {name}.")


async def _offered(login: Login) -> str | None:
    try:
        return await scan_host_key(login.address, port=login.port, timeout=SCAN_TIMEOUT)
    except SlipwayError:
        return None


def _faults(spec: ClusterSpec, secrets: Secrets, login: Login) -> Sequence[FieldError]:
    message = _message(login)
    if isinstance(login.error, PctMissing):
        fields = ["ssh.username"]
    elif isinstance(login.error, AnotherNode):
        fields = [f"ssh.nodes.{login.node}.address"]
    elif isinstance(login.error, AccessRefused | Invalid):
        names = {"ssh_private_key": "ssh.private_key", "ssh_password": "ssh.password"}
        fields = [*(names[each] for each in names if each in secrets), "ssh.username"]
    elif isinstance(login.error, HostKeyMismatch):
        fields = [f"ssh.nodes.{login.node}.host_key"]
    else:
        node = spec.nodes.get(login.node)
        is_of_node = node is not None and (node.address is not None or node.port is not None)
        fields = [f"ssh.nodes.{login.node}.address" if is_of_node else "ssh.port"]
    return [FieldError(field=field, message=message) for field in fields]


def _message(login: Login) -> str:
    error = login.error
    if error is None:
        return ""
    if isinstance(error, AccessRefused):
        return f"{error.message} Check the user name, and the password or that the key is in authorized_keys."
    if isinstance(error, HostKeyMismatch):
        shown = (
            f" It shows {login.offered}; compare that with /etc/ssh/ssh_host_*_key.pub on the node itself."
        )
        return error.message + (shown if login.offered else "")
    if isinstance(error, Invalid):
        return error.message
    return f"{error.message} (tried {login.address}, port {login.port}; check address, port and firewall)"
