"""What `ProxmoxApi`, `Pct` and the provisioner's steps need of a host.

Each has two implementations: one that acts, and one that only looks (`dry_run`).
"""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Protocol

from slipway.proxmox.ssh import Completed, OnRawLine
from slipway.proxmox.wire import Params, Reply


class HostApi(Protocol):
    """Sends requests to a cluster's API."""

    async def request(
        self, method: str, *segments: str, params: Params | None = None, within: timedelta | None = None
    ) -> Reply:
        """Send one request; see `wire` for what an error guarantees."""


class Shell(Protocol):
    """Runs commands on one node."""

    node: str
    """The node's name in Proxmox."""

    async def run(self, argv: Sequence[str], *, timeout: timedelta) -> Completed:
        """Run a command to its end."""

    async def stream(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | AsyncIterator[bytes] = b"",
        hold_stdin: bool = False,
        timeout: timedelta,
        on_line: OnRawLine,
    ) -> int:
        """Run a command to its end, passing on each line of its output; return its exit code."""
