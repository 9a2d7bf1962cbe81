"""What can go wrong on purpose: faults that a test orders, in this process or over HTTP from another.

Theory of operation. A fault stands until it has happened as often as its `times` says (None: until cleared).
The node asks for it where the real one breaks: before and after an API call, at the begin, in the middle
and at the end of a task, when a command runs over SSH. Guarantee: faults happen in the order in which they
were ordered, and one request or task meets at most one of each kind. Nothing here breaks by itself.
"""

from collections.abc import Mapping
from typing import Any, Literal

from slipway.lab.faults.scope import CallFault, CommandFault, Fault, GuestFault, NodeFault, State, TaskFault


class ApiError(CallFault):
    """Answer with an error instead of acting; 595 and 596 have no body, as pveproxy's own."""

    kind: Literal["api-error"] = "api-error"
    status: int = 500
    message: str = "got no worker upid - start worker failed"


class LostAnswer(CallFault):
    """Act, then drop the connection without an answer."""

    kind: Literal["lost-answer"] = "lost-answer"


class SlowAnswer(CallFault):
    """Act, then answer late."""

    kind: Literal["slow-answer"] = "slow-answer"
    seconds: float | None
    """None: never; pveproxy gives up for it after 30 seconds and answers 596."""


class ForeignRows(State):
    """Show rows in a list that the lab would not have: guests of other types, unknown kinds of things.

    VMIDs of `qemu` and `lxc` rows in `/cluster/resources` are taken.
    """

    kind: Literal["foreign-rows"] = "foreign-rows"
    path: str = "/cluster/resources"
    rows: tuple[Mapping[str, Any], ...]


class ChangedRows(State):
    """Show rows of a list, or an object, otherwise than they are: other values, missing keys."""

    kind: Literal["changed-rows"] = "changed-rows"
    path: str = "/cluster/resources"
    where: Mapping[str, Any] = {}
    """What a row has to have: `{"id": "lxc/100"}`; empty for every row."""
    values: Mapping[str, Any] = {}
    """What it shows instead; null is a value."""
    without: tuple[str, ...] = ()
    """Keys that it does not have."""


class TokenExpired(State):
    """Refuse tokens as Proxmox does when they are expired, removed or renewed: 401 after its delay."""

    kind: Literal["token-expired"] = "token-expired"
    token: str = "slipway@pve!*"  # noqa: S105 - a name
    """Its id, with `*` as wildcard."""


class RightsTaken(State):
    """Take rights away from tokens: calls are refused, and lists leave out what may not be seen."""

    kind: Literal["rights-taken"] = "rights-taken"
    token: str = "slipway@pve!*"  # noqa: S105 - a name
    path: str = "*"
    """Where: `/vms`, `/storage/local`, with `*` as wildcard."""
    rights: tuple[str, ...] = ()
    """Which: `VM.Audit`; empty for all."""


class NodeOffline(NodeFault):
    """Take a node off the network until it is cleared; the others answer at once that it has no route."""

    kind: Literal["node-offline"] = "node-offline"
    node: str


class NodeDies(NodeFault):
    """Cut a node's power: silence at once, which the others only notice later.

    Until then it is `online` and its guests `running`, as at the last look. Who asks it itself gets no
    answer at all; who asks another node about it, 595 after a wait.
    """

    kind: Literal["node-dies"] = "node-dies"
    node: str
    noticed_after: float = 12.0
    """Seconds until the cluster calls it offline."""
    answered_after: float = 30.0
    """Seconds until another node gives up asking it (`Connection timed out`; half of it once noticed)."""


class NodeGone(NodeFault):
    """Remove a node from the cluster (`pvecm delnode`): nobody knows it, its API and SSH are closed."""

    kind: Literal["node-gone"] = "node-gone"
    node: str


class NodeRenamed(NodeFault):
    """Show a node with another name, with all its containers."""

    kind: Literal["node-renamed"] = "node-renamed"
    node: str
    name: str


class ApiFrozen(NodeFault):
    """Freeze a node's API (SIGSTOP of pveproxy): connections are taken, nothing is answered.

    Not even the TLS handshake. Orders are given and cleared at the control endpoint meanwhile.
    """

    kind: Literal["api-frozen"] = "api-frozen"


class SshFrozen(NodeFault):
    """Freeze a node's SSH: connections are taken, not even a version is said; open ones hang."""

    kind: Literal["ssh-frozen"] = "ssh-frozen"


class ClockOff(NodeFault):
    """Set a node's clock wrong: its time, `Date`, tasks, snapshots, backups."""

    kind: Literal["clock-off"] = "clock-off"
    seconds: float
    """How far it is ahead; negative when it is late."""


class CertificateRenewed(NodeFault):
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


class VmidTaken(Fault):
    """Create a container of someone else's with that VMID just before ours is created."""

    kind: Literal["vmid-taken"] = "vmid-taken"
    vmid: int | None = None


class TaskFails(TaskFault):
    """End a task with an error."""

    kind: Literal["task-fails"] = "task-fails"
    message: str = "command failed: exit code 1"


class TaskHangs(TaskFault):
    """Hold a task up, for a while or until it is stopped."""

    kind: Literal["task-hangs"] = "task-hangs"
    seconds: float | None = None


class WorkerKilled(TaskFault):
    """Kill a task's worker: `unexpected status`, nothing cleaned up, a creation leaves a locked zombie."""

    kind: Literal["worker-killed"] = "worker-killed"


class Locked(Fault):
    """Lock a container's config now, as something that was killed leaves it, or for a while."""

    kind: Literal["locked"] = "locked"
    vmid: int
    lock: str = "backup"
    seconds: float | None = None
    """After which it is unlocked; None: left over, only `pct unlock` helps."""


class ForeignTask(Fault):
    """Run a task of someone else's now: the nightly backup, which locks the container for a while."""

    kind: Literal["foreign-task"] = "foreign-task"
    vmid: int
    task: str = "vzdump"
    lock: str | None = "backup"
    user: str = "root@pam"
    is_of_many: bool = False
    """Whether the task names no VMID, as a backup job of several guests."""
    seconds: float | None = None
    """How long it runs; None: until it is stopped."""


class HaManaged(State):
    """Give a guest to the HA manager until it is removed; no fault, but nothing else can order it."""

    kind: Literal["ha-managed"] = "ha-managed"
    vmid: int
    state: str | None = None
    """What the manager says: `error`, `fence`, `disabled`; None as the guest is: `started`, `stopped`."""


class SdnVnet(State):
    """Show a vnet of the cluster's SDN until it is removed; no fault, but the lab takes no zones."""

    kind: Literal["sdn-vnet"] = "sdn-vnet"
    vnet: str
    zone: str = "lab"
    tag: int | None = None
    is_vlan_aware: bool = False
    alias: str | None = None


class SshDropped(CommandFault):
    """Cut a connection after so many bytes of a command's output, or every connection at once."""

    kind: Literal["ssh-dropped"] = "ssh-dropped"
    after_bytes: int = 0
    now: bool = False


class LoginPrints(State):
    """Print something before each command over SSH, as root's `.bashrc` does: sshd has bash read it."""

    kind: Literal["login-prints"] = "login-prints"
    text: str = ""
    errors: str = ""
    """The same on standard error."""


class SshRefused(Fault):
    """Close new connections before the login."""

    kind: Literal["ssh-refused"] = "ssh-refused"


class CommandFails(CommandFault):
    """End a `pct exec` command with an error after so many lines of output."""

    kind: Literal["command-fails"] = "command-fails"
    after_lines: int = 0
    exit_code: int = 1


class NeverReady(GuestFault):
    """Answer `starting` for ever to `systemctl is-system-running` in a simulated guest."""

    kind: Literal["never-ready"] = "never-ready"


class NeverStops(GuestFault):
    """Ignore a guest's shutdown; a stop still works."""

    kind: Literal["never-stops"] = "never-stops"


class DnsFails(GuestFault):
    """Hide a simulated guest's mirror from its apt, the next so many times that it needs the network."""

    kind: Literal["dns-fails"] = "dns-fails"
    attempts: int = 1


class AptLocked(GuestFault):
    """Hold a lock of apt's or dpkg's in a guest, as another program would, from now on for a while."""

    kind: Literal["apt-locked"] = "apt-locked"
    lock: Literal["lists", "archives", "dpkg"] = "lists"
    """`/var/lib/apt/lists/lock`, `/var/cache/apt/archives/lock`, or `/var/lib/dpkg/lock-frontend`: only for
    this one can apt be made to wait."""
    seconds: float = 5.0
