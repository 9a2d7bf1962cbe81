"""A cluster that is looked at and never touched: what would change it is told instead of done.

A dry run goes the way of the run itself: it reads what the run would read, and stops where the run would
first act. That act is `WouldChange`, raised before anything is sent.
"""

import shlex
from collections.abc import Sequence
from typing import Any, NoReturn

from slipway.proxmox.access import NodeAccess
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.hosts import Cluster
from slipway.proxmox.pct import Pct
from slipway.proxmox.record import masked
from slipway.proxmox.ssh import Completed, NodeShell
from slipway.proxmox.wire import Params, Reply

_LOOKING = frozenset({"realpath"})


class WouldChange(Exception):
    """Here the host would be changed; the text says by what, without secrets."""


class DryRunApi(ProxmoxApi):
    """Reads through another API's connection; whatever is no GET is told instead of sent."""

    def __init__(self, origin: ProxmoxApi) -> None:
        """Take over the connection; whoever made it closes it."""
        self._connection = origin.connection
        self._reader = origin.reader
        self._within = None

    async def _post(self, *segments: str, params: Params) -> Reply:
        _tell("POST", segments, params)

    async def _put(self, *segments: str, params: Params) -> Reply:
        _tell("PUT", segments, params)

    async def _delete(self, *segments: str, params: Params | None = None) -> Reply:
        _tell("DELETE", segments, params or {})


class DryRunShell(NodeShell):
    """Runs nothing but what only looks: all else that Slipway runs on a node may change something."""

    def __init__(self, origin: NodeShell, access: NodeAccess) -> None:
        super().__init__(access)
        self._origin = origin

    async def run(self, argv: Sequence[str], **options: Any) -> Completed:
        """Tell the command."""
        if argv[0] in _LOOKING:
            return await self._origin.run(argv, **options)
        raise WouldChange(f"{shlex.join(argv)} (on node {self.node}, over SSH)")


class DryRunCluster(Cluster):
    """One cluster, looked at through the connections of another."""

    def __init__(self, origin: Cluster) -> None:
        super().__init__(origin.access)
        self._origin = origin
        self.api = DryRunApi(origin.api)

    def pct(self, node: str) -> Pct:
        """Containers of a node, whose commands are told."""
        return Pct(DryRunShell(self._origin.shell(node), self.access.nodes[node]))


def _tell(method: str, segments: Sequence[str], params: Params) -> NoReturn:
    shown = {name: value for name, value in masked(params).items() if value is not None}
    words = " ".join(f"{name}={_written(value)}" for name, value in shown.items())
    raise WouldChange(f"{method} /{'/'.join(segments)} {words}".strip())


def _written(value: object) -> str:
    text = str(int(value)) if isinstance(value, bool) else str(value)
    return text if text.isprintable() and " " not in text else repr(text)
