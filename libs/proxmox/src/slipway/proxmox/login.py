"""Check an SSH login: whose it is, and what the node binds its key to."""

from dataclasses import dataclass
from datetime import timedelta

from slipway.contracts.problems import Invalid
from slipway.proxmox.protocols import Shell

CHECK = ("sh", "-c", "command -v pct && hostname")
"""A forced command of `infra/proxmox/make-token.sh` knows these words, and prints its limits as well."""
_LIMITS = "limits "


class PctMissing(Invalid):
    """The login works, but the machine has no `pct`."""

    code = "ssh.pct-missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Where a login ends."""

    hostname: str
    """The machine's own, without its domain."""
    limits: str | None
    """What the node's forced command binds the key to; None: it is not bound."""


async def check_login(shell: Shell, *, timeout: timedelta) -> Login:
    """Return where a login ends.

    Raises:
        PctMissing: It is not root's on a Proxmox node.
    """
    completed = await shell.run(CHECK, timeout=timeout)
    if completed.exit_code != 0:
        raise PctMissing(
            f"The SSH login to {shell.node} finds no `pct`; it must be root's on a Proxmox node."
        )
    lines = completed.stdout.splitlines()
    limits = [line.removeprefix(_LIMITS) for line in lines if line.startswith(_LIMITS)]
    names = [line for line in lines if not line.startswith(_LIMITS)]
    return Login(hostname=names[-1].partition(".")[0], limits=limits[0] if limits else None)
