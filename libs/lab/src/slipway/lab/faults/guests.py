"""Orders about SSH and what happens inside guests."""

from typing import Literal

from slipway.lab.faults.order import Order, State


class CommandOrder(Order):
    """An order about a command."""

    match: str = ""
    """Part of the command line; empty for any."""


class SshDropped(CommandOrder):
    """Cut a connection after so many bytes of a command's output, or every connection at once."""

    kind: Literal["ssh-dropped"] = "ssh-dropped"
    after_bytes: int = 0
    now: bool = False


class SshRefused(Order):
    """Close new connections before the login."""

    kind: Literal["ssh-refused"] = "ssh-refused"


class CommandFails(CommandOrder):
    """Let a `pct exec` command die after so many lines of output."""

    kind: Literal["command-fails"] = "command-fails"
    after_lines: int = 0
    exit_code: int = 1


class GuestOrder(State):
    """An order about guests."""

    vmid: int | None = None
    """None for all."""

    def is_about(self, vmid: int) -> bool:
        """Whether a guest is meant."""
        return self.vmid in (None, vmid)


class NeverReady(GuestOrder):
    """Let a guest's `systemctl is-system-running` say `starting` for ever."""

    kind: Literal["never-ready"] = "never-ready"


class NeverStops(GuestOrder):
    """Let a guest ignore a shutdown; a stop still works."""

    kind: Literal["never-stops"] = "never-stops"


class DnsFails(GuestOrder):
    """Let a simulated guest's apt not find its mirror, the next so many times that it needs the network."""

    kind: Literal["dns-fails"] = "dns-fails"
    attempts: int = 1


class AptLocked(GuestOrder):
    """Let another program in a simulated guest hold apt's or dpkg's lock, from now on for a while."""

    kind: Literal["apt-locked"] = "apt-locked"
    lock: Literal["lists", "dpkg"] = "lists"
    """`/var/lib/apt/lists/lock`, or `/var/lib/dpkg/lock-frontend`, which apt can be told to wait for."""
    seconds: float = 5.0
