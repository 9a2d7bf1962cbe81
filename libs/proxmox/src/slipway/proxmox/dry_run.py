"""A cluster that is read and never changed: each change is raised as `WouldChange` instead.

A dry run takes the same way as the run: it reads what the run would read, and stops where the run would first
act. That act is `WouldChange`, raised before anything is sent.
"""

import shlex
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from slipway.proxmox.hosts import HostCluster
from slipway.proxmox.protocols import HostApi, Shell
from slipway.proxmox.record import masked
from slipway.proxmox.ssh import Completed, OnRawLine
from slipway.proxmox.wire import Params, Reply

_READING_COMMANDS = frozenset({"realpath"})
_IN_GUEST = ("pct", "exec")


class WouldChange(Exception):
    """Here the host would be changed; the text is the request, without secrets."""


class DryRunApi:
    """A `HostApi` that sends GET requests only."""

    def __init__(self, origin: HostApi) -> None:
        self._origin = origin

    async def request(
        self, method: str, *segments: str, params: Params | None = None, within: timedelta | None = None
    ) -> Reply:
        """Send a GET; raise `WouldChange` for any other request."""
        if method == "GET":
            return await self._origin.request(method, *segments, params=params, within=within)
        shown = {name: value for name, value in masked(params or {}).items() if value is not None}
        parameters = " ".join(f"{name}={_text(value)}" for name, value in shown.items())
        raise WouldChange(f"{method} /{'/'.join(segments)} {parameters}".strip())


class DryRunShell:
    """A `Shell` that runs reading commands only; every other command of Slipway's may change something."""

    def __init__(self, origin: Shell) -> None:
        self.node = origin.node
        self._origin = origin

    async def run(self, argv: Sequence[str], *, timeout: timedelta) -> Completed:
        """Run a reading command; raise `WouldChange` for any other."""
        if argv[0] in _READING_COMMANDS:
            return await self._origin.run(argv, timeout=timeout)
        raise WouldChange(f"{shlex.join(argv)} (on node {self.node}, over SSH)")

    async def stream(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | AsyncIterator[bytes] = b"",  # noqa: ARG002 - nothing is run
        hold_stdin: bool = False,  # noqa: ARG002
        timeout: timedelta,  # noqa: ARG002
        on_line: OnRawLine,  # noqa: ARG002
    ) -> int:
        """Raise `WouldChange`: a command in a guest may do anything."""
        shown = f"{shlex.join(argv[:3])} ..." if tuple(argv[:2]) == _IN_GUEST else shlex.join(argv)
        raise WouldChange(f"{shown} (on node {self.node}, over SSH)")


class DryRunCluster:
    """A `HostCluster` that only reads, through the connections of another."""

    def __init__(self, origin: HostCluster) -> None:
        self.access = origin.access
        self.api = origin.api.through(DryRunApi(origin.api.connection))
        self._origin = origin

    def shell(self, node: str) -> Shell:
        """Return what runs reading commands on a node."""
        return DryRunShell(self._origin.shell(node))


def _text(value: object) -> str:
    text = str(int(value)) if isinstance(value, bool) else str(value)
    return text if text.isprintable() and " " not in text else repr(text)
