"""Make access to a cluster on one of its nodes, and take it away again; what is made is root's to see there.

The login goes to the pinned host key only, and with it the password. Before anything is made the node is
looked at: who we are there, and which cluster it belongs to. Nothing is stored here, and no secret is logged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from slipway.contracts.checks import CheckName
from slipway.contracts.connections import (
    AccessScript,
    GetAccessScript,
    MadeAccess,
    MakeNodeAccess,
    NodeLogin,
    RemoveNodeAccess,
)
from slipway.contracts.message import Done
from slipway.contracts.problems import Invalid, SlipwayError
from slipway.contracts.values import Sealed
from slipway.provisioner.cluster_access import script
from slipway.provisioner.cluster_access.errors import (
    HostKeyDiffers,
    KnownCluster,
    NodeSilent,
    NotNode,
    NotRoot,
    OfAnotherCluster,
    PasswordRefused,
    ScriptFailed,
    fail,
)
from slipway.proxmox.access import NodeAccess
from slipway.proxmox.errors import AccessRefused, CommandTimedOut, HostKeyMismatch
from slipway.proxmox.ssh import Collected, Completed, NodeShell
from slipway.runtime.bus.call import Call
from slipway.runtime.secrets.sealing import Sealer

LOOK_TIMEOUT = timedelta(seconds=15)
MAKE_TIMEOUT = timedelta(seconds=45)
"""`pveum` takes up to a second for each of about twenty calls."""
REMOVE_TIMEOUT = timedelta(seconds=30)
_MOST_WORDS = 400
_OWN_WORDS = "make-token: "


@dataclass(frozen=True, slots=True)
class AccessMaker:
    """Runs the token script on nodes."""

    sealer: Sealer

    async def make(self, query: MakeNodeAccess, _call: Call) -> MadeAccess:
        """Run the script; what it made comes back sealed to inventory."""
        values = script.variables(
            name=query.name,
            access_id=query.id,
            address=query.login.address,
            tier=query.tier,
            bounds=query.bounds,
            like=query.like,
        )
        if not query.like:
            script.refuse_loose(query.bounds)
        shell = self._shell(query.name, query.login, query.password)
        try:
            look = await _look(shell, query.login)
            _refuse_known(query, look)
            if before := query.ids.get(look.identity or ""):
                values = {**values, "LIKE": before}
            printed = await _made(shell, values, query.login)
        finally:
            await shell.aclose()
        secrets = {"token_secret": printed.token_secret, "ssh_private_key": printed.private_key}
        sealed = {
            field: self.sealer.seal(secret, to="inventory", owner=query.name, field=field)
            for field, secret in secrets.items()
            if secret is not None
        }
        return MadeAccess(
            node=printed.node or look.node or "",
            token_id=printed.token_id,
            token_secret=sealed["token_secret"],
            ssh_private_key=sealed.get("ssh_private_key"),
            tls_fingerprint=printed.tls_fingerprint,
            ca=printed.ca,
            tier=query.tier,
            vmids=printed.vmids,
        )

    async def remove(self, query: RemoveNodeAccess, _call: Call) -> Done:
        """Run the script's `remove`. Idempotent: what is gone already is only mentioned."""
        shell = self._shell(query.name, query.login, query.password)
        try:
            ran = await _run(shell, script.command({"ID": query.id}, "remove"), timeout=REMOVE_TIMEOUT)
        except SlipwayError as error:
            raise _login_error(error, query.login) from error
        finally:
            await shell.aclose()
        if ran.exit_code != 0:
            raise ScriptFailed(f"The token script could not take away what it made: {_last_words(ran)}")
        return Done()

    async def script(self, query: GetAccessScript, _call: Call) -> AccessScript:
        """Return the script for a person who runs it himself."""
        values = script.variables(
            name=query.name,
            access_id=query.id,
            address=query.address,
            tier=query.tier,
            bounds=query.bounds,
        )
        if query.is_removal:
            removal = script.with_variables({"ID": query.id}, "remove")
            return AccessScript(id=query.id, script=removal, makes=())
        return AccessScript(
            id=query.id,
            script=script.with_variables(values),
            makes=script.made(query.id, query.tier, query.bounds),
        )

    def _shell(self, name: str, login: NodeLogin, password: Sealed) -> NodeShell:
        return NodeShell(
            NodeAccess(
                name=login.address,
                address=login.address,
                port=login.port,
                password=self.sealer.open(password, owner=name, field="password"),
                host_key=login.host_key,
            )
        )


async def _look(shell: NodeShell, login: NodeLogin) -> script.Look:
    """Return what a machine is; refuse one on which nothing can be made."""
    try:
        ran = await _run(shell, ("sh", "-s"), stdin=script.LOOK, timeout=LOOK_TIMEOUT)
    except SlipwayError as error:
        raise _login_error(error, login) from error
    look = script.read_look(ran.stdout)
    if not look.is_root:
        raise fail(
            NotRoot,
            CheckName.NODE_LOGIN,
            f"The login to {login.address} is not root's.",
            "Slipway makes a token and a key once, and needs root for that. Or run the script there yourself "
            "(`slipway cluster script`).",
            field="address",
        )
    if look.node is None:
        raise fail(
            NotNode,
            CheckName.NODE_SCRIPT,
            f"{login.address} is no node of Proxmox VE: it has no pveum or no /etc/pve.",
            "Give the address of a node of the cluster, not of a container or a virtual machine.",
            field="address",
        )
    return look


def _refuse_known(query: MakeNodeAccess, look: script.Look) -> None:
    """Refuse a node of a cluster that Slipway has already, before its token is replaced."""
    if query.own and look.identity and look.identity != query.own:
        raise fail(
            OfAnotherCluster,
            CheckName.NODE_SCRIPT,
            f"{query.login.address} belongs to another cluster than {query.name}: {look.identity}.",
            f"Give the address of a node of {query.name}, or connect this one under a name of its own.",
            field="address",
        )
    name = query.known.get(look.identity or "")
    if name is not None:
        raise fail(
            KnownCluster,
            CheckName.NODE_SCRIPT,
            f"This cluster is known already, as {name!r}: it has the same certificate authority.",
            f"Use that one; `slipway cluster access {name}` gives it a new token and key.",
            field="address",
            cluster=name,
        )


async def _made(shell: NodeShell, values: Mapping[str, str], login: NodeLogin) -> script.Printed:
    try:
        ran = await _run(shell, script.command(values), timeout=MAKE_TIMEOUT)
    except CommandTimedOut as error:
        raise _script_failed(
            login, values, f"it did not end within {MAKE_TIMEOUT.total_seconds():g} s"
        ) from error
    except SlipwayError as error:
        raise _script_failed(login, values, error.message) from error
    if ran.exit_code != 0:
        raise _script_failed(login, values, _last_words(ran))
    try:
        return script.read_printed(ran.stdout)
    except script.ScriptUnreadable as error:
        raise _script_failed(login, values, str(error)) from None


async def _run(
    shell: NodeShell, argv: tuple[str, ...], *, timeout: timedelta, stdin: bytes | None = None
) -> Completed:
    """Run a script from standard input, by default the token script."""
    collected = Collected()
    content = script.text().encode() if stdin is None else stdin
    code = await shell.stream(argv, stdin=content, timeout=timeout, on_line=collected.take)
    return collected.completed(code)


def _login_error(error: SlipwayError, login: NodeLogin) -> SlipwayError:
    """Return the error of a login, with the input that is wrong."""
    where = f"{login.address}, port {login.port}"
    if isinstance(error, AccessRefused):
        return fail(
            PasswordRefused,
            CheckName.NODE_LOGIN,
            f"{where} does not accept root's password.",
            "Check it. If sshd takes no password of root's (`PermitRootLogin` in sshd_config), run the "
            "script yourself: `slipway cluster script`.",
            field="password",
        )
    if isinstance(error, HostKeyMismatch):
        return fail(
            HostKeyDiffers,
            CheckName.NODE_LOGIN,
            f"{where} shows another SSH host key than the one that was compared; no password was sent.",
            "Compare again: `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the node itself.",
            field="host_key",
        )
    if isinstance(error, Invalid):
        return fail(
            type(error),
            CheckName.NODE_LOGIN,
            error.message,
            "A host key is what `cat /etc/ssh/ssh_host_ed25519_key.pub` shows on the node.",
            field="password" if "password" in error.message else "host_key",
            code=error.code,
        )
    return fail(
        NodeSilent,
        CheckName.NODE_LOGIN,
        f"No SSH login at {where}: {error.message}",
        "Check address, port and firewall, and that sshd runs on the node.",
        field="address",
    )


def _script_failed(login: NodeLogin, values: Mapping[str, str], why: str) -> SlipwayError:
    return fail(
        ScriptFailed,
        CheckName.NODE_SCRIPT,
        f"The token script failed on {login.address}: {why}.",
        "What it says is Proxmox's own: a cluster without quorum, for one, takes no change.",
        id=values["ID"],
    )


def _last_words(ran: Completed) -> str:
    """Return the end of what a script said on standard error, where no secret stands."""
    lines = [line.removeprefix(_OWN_WORDS).strip() for line in ran.stderr.splitlines() if line.strip()]
    said = "; ".join(line for line in lines[-4:] if not line.startswith("not finished"))
    return said[-_MOST_WORDS:] or f"exit code {ran.exit_code}"
