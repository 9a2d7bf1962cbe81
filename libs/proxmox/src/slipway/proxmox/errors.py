"""The errors of a host, by who can act on them.

Here live only the classes and their stable codes; `error_mapping` decides which one an answer stands for. Two
of them keep retries honest: `AnswerLost` and `CommandLost` say that something may have happened, so the
caller looks before it acts again. They are never raised for a request that certainly had no effect.
"""

from slipway.contracts.problems import Failed, Reason, Rejected, Unavailable


class ProxmoxRejected(Rejected):
    """Proxmox refuses the request as it is."""

    code = "proxmox.rejected"


class PermissionMissing(ProxmoxRejected):
    """The token or user lacks a privilege."""

    code = "proxmox.permission-missing"
    reason = Reason.FORBIDDEN


class AccessRefused(ProxmoxRejected):
    """Token, password or key is not accepted: ask for the access again, never loop.

    A refused login costs three seconds on the host (PVE 9.2, observed).
    """

    code = "proxmox.access-refused"


class CertificateMismatch(ProxmoxRejected):
    """The server shows another certificate than the pinned one; nothing was sent.

    The details `shown` and `pinned` are the fingerprints, where one is pinned.
    """

    code = "proxmox.certificate-mismatch"


class HostKeyMismatch(ProxmoxRejected):
    """The node shows another SSH host key than the pinned one."""

    code = "proxmox.host-key-mismatch"


class VmidTaken(ProxmoxRejected):
    """The VMID belongs to another guest; VMIDs are not reserved, so this is the compare-and-set."""

    code = "proxmox.vmid-taken"
    reason = Reason.CONFLICT


class ContainerMissing(ProxmoxRejected):
    """There is no such container on this node; it may live on another one."""

    code = "proxmox.container-missing"
    reason = Reason.NOT_FOUND


class TaskMissing(ProxmoxRejected):
    """The node knows no task of this UPID."""

    code = "proxmox.task-missing"
    reason = Reason.NOT_FOUND


class NodeUnknown(ProxmoxRejected):
    """The cluster has no node of this name."""

    code = "proxmox.node-unknown"
    reason = Reason.NOT_FOUND


class ContainerLocked(ProxmoxRejected):
    """The container's config carries a lock, named in the detail `lock`: an operation runs, or died."""

    code = "proxmox.container-locked"
    reason = Reason.CONFLICT

    @property
    def lock(self) -> str:
        """What holds it: `create`, `backup`, `snapshot`, ..."""
        return self.details.get("lock", "")


class ContainerProtected(ProxmoxRejected):
    """Protection is on: it can't be removed."""

    code = "proxmox.container-protected"
    reason = Reason.CONFLICT


class AlreadyRunning(ProxmoxRejected):
    """It runs already; for a start, and for a deletion without force."""

    code = "proxmox.already-running"
    reason = Reason.CONFLICT


class NotRunning(ProxmoxRejected):
    """It does not run."""

    code = "proxmox.not-running"
    reason = Reason.CONFLICT


class FeatureMissing(ProxmoxRejected):
    """Storage or state of the container don't allow it: snapshot, linked clone, copy while it runs."""

    code = "proxmox.feature-missing"
    reason = Reason.CONFLICT


class SnapshotMissing(ProxmoxRejected):
    """There is no such snapshot."""

    code = "proxmox.snapshot-missing"
    reason = Reason.NOT_FOUND


class SnapshotTaken(ProxmoxRejected):
    """The container has a snapshot of that name."""

    code = "proxmox.snapshot-taken"
    reason = Reason.CONFLICT


class ConfigChanged(ProxmoxRejected):
    """The config changed since it was read: read again, decide again."""

    code = "proxmox.config-changed"
    reason = Reason.CONFLICT


class NodeUnreachable(Unavailable):
    """No answer, and the request certainly had no effect (or was only a question)."""

    code = "proxmox.unreachable"
    retry_after_seconds = 5.0


class EndpointUnreachable(NodeUnreachable):
    """As `NodeUnreachable`, of the endpoint itself: another one of the cluster may answer."""


class NoAnswer(NodeUnreachable):
    """A question was received but not answered in time, by the endpoint or by the node it is about."""


class AnswerLost(Unavailable):
    """A change was sent and its answer was lost: it may have taken effect. Look before acting."""

    code = "proxmox.answer-lost"


class LockTimeout(Unavailable):
    """Another operation holds the lock; Proxmox waits 5 to 10 s for it and gives up (PVE 9.2, observed)."""

    code = "proxmox.lock-timeout"
    retry_after_seconds = 10.0


class ClusterNotReady(Unavailable):
    """The cluster has no quorum, or its file system restarts: it can't be changed now."""

    code = "proxmox.cluster-not-ready"
    retry_after_seconds = 10.0


class TaskTimedOut(Unavailable):
    """The task did not end before our deadline; it still runs."""

    code = "proxmox.task-timed-out"


class SshRefused(Unavailable):
    """No SSH connection came about; nothing was run."""

    code = "ssh.refused"
    retry_after_seconds = 5.0


class CommandLost(Unavailable):
    """The SSH connection died while a command ran: whether it ended is unknown. Look before acting."""

    code = "ssh.command-lost"


class CommandTimedOut(Unavailable):
    """A command did not end before its deadline; it was stopped."""

    code = "ssh.command-timed-out"


class RunLost(Unavailable):
    """Detached work died without an exit code (a reboot, an out-of-memory kill): begin it again."""

    code = "guest.run-lost"


class ProxmoxFailed(Failed):
    """Proxmox tried and failed."""

    code = "proxmox.failed"


class TaskFailed(ProxmoxFailed):
    """A task ended with an error, which is the message; the detail `upid` names it."""

    code = "proxmox.task-failed"

    @property
    def upid(self) -> str:
        """The task that failed."""
        return self.details.get("upid", "")


class TaskLost(TaskFailed):
    """The task's worker was killed: its exit status is `unexpected status`, its effect is unknown."""

    code = "proxmox.task-lost"


class PctFailed(ProxmoxFailed):
    """`pct` itself failed, not the command in the guest."""

    code = "proxmox.pct-failed"


class CommandForbidden(Failed):
    """The node's forced command does not let Slipway's SSH key do this; nothing was run."""

    code = "ssh.command-forbidden"


class DeployFailed(Failed):
    """A file could not be put into the guest; what was put before it stays."""

    code = "guest.deploy-failed"


def unknown_name(host: str) -> str:
    """Return the sentence about a host whose name can't be resolved, and what to do."""
    return (
        f"The name {host} is not known to the machine that Slipway runs on: look at its spelling, give the "
        "IP address instead, or enter the name in DNS or in /etc/hosts there."
    )
