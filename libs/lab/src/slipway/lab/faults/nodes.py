"""Orders about nodes and what they have: their place in the cluster, their clock, certificate, storages."""

from fnmatch import fnmatchcase
from typing import Literal

from slipway.lab.faults.order import State


class NodeOrder(State):
    """An order about nodes."""

    node: str = "*"
    """Its name in the lab, with `*` as wildcard."""

    def is_about(self, node: str) -> bool:
        """Whether a node is meant."""
        return fnmatchcase(node, self.node)


class NodeOffline(NodeOrder):
    """Let a node be away until it is cleared; the others answer at once that there is no route to it."""

    kind: Literal["node-offline"] = "node-offline"
    node: str


class NodeDies(NodeOrder):
    """Let a node lose its power: silence at once, which the others only notice later.

    Until then it is `online` and its guests `running`, as at the last look. Who asks it itself gets no
    answer at all; who asks another node about it, 595 after a wait.
    """

    kind: Literal["node-dies"] = "node-dies"
    node: str
    noticed_after: float = 12.0
    """Seconds until the cluster calls it offline."""
    answered_after: float = 30.0
    """Seconds until another node gives up asking it (`Connection timed out`; half of it once noticed)."""


class NodeGone(NodeOrder):
    """Let a node have left the cluster (`pvecm delnode`): nobody knows it, its API and SSH are closed."""

    kind: Literal["node-gone"] = "node-gone"
    node: str


class NodeRenamed(NodeOrder):
    """Let a node have another name, with all its containers."""

    kind: Literal["node-renamed"] = "node-renamed"
    node: str
    name: str


class ApiFrozen(NodeOrder):
    """Let a node's API stand still (SIGSTOP of pveproxy): connections are taken, nothing is answered.

    Not even the TLS handshake. Orders are given and cleared at the control endpoint meanwhile.
    """

    kind: Literal["api-frozen"] = "api-frozen"


class SshFrozen(NodeOrder):
    """Let a node's SSH stand still: connections are taken, not even a version is said; open ones hang."""

    kind: Literal["ssh-frozen"] = "ssh-frozen"


class ClockOff(NodeOrder):
    """Let a node's clock be wrong: its time, `Date`, tasks, snapshots, backups."""

    kind: Literal["clock-off"] = "clock-off"
    seconds: float
    """How far it is ahead; negative when it is late."""


class CertificateRenewed(NodeOrder):
    """Give a node's API a new key and certificate now; open connections end, as when pveproxy restarts."""

    kind: Literal["certificate-renewed"] = "certificate-renewed"
    times: int | None = 1
    signed_by: Literal["cluster", "itself"] = "cluster"
    """The cluster's CA (`pvecm updatecerts`), or nobody."""
    file: Literal["pve-ssl.pem", "pveproxy-ssl.pem"] = "pve-ssl.pem"
    """The second is what an administrator or ACME puts there; it is served instead of the first."""


class StorageFull(State):
    """Show a storage as full; what allocates there fails in its task."""

    kind: Literal["storage-full"] = "storage-full"
    storage: str = "*"
    at: tuple[Literal["mkfs", "unpack", "start", "backup"], ...] = ("unpack", "backup")
    """Where it is noticed: when a disk is made or filled, at a start, when a backup is written."""
