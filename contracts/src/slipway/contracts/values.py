"""Words that several messages share: ids, closed sets, sealed secrets, what is wrong now."""

from enum import StrEnum

from slipway.contracts.message import Moment, Value

DISCOVERY_PENDING = "discovery-pending"
"""A warning: address, services and credentials may be others by now; monitor looks into the guest."""
CONFIG_UNREAD = "config-unread"
"""A warning: the config on the host may be another one by now; monitor reads it."""
AFTER_RESTART = "after-restart"
"""A job's warning, with the settings (`after-restart: tty`): the container has them after its next start."""

WITHOUT_ADDRESS = "without-address"
"""A job's warning, with device and cause: the guest lacks an address that it should have, and has others."""
STILL_STARTING = "still-starting"
"""A job's warning, with units or services: the job went on while the guest was still starting them."""


class Phase(StrEnum):
    """The five phases of a creation, in order."""

    CREATE = "create"
    START = "start"
    DEPLOY = "deploy"
    SYNC = "sync"
    FINALIZE = "finalize"


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    """Accepted; waits for a worker."""
    RUNNING = "running"
    """A worker has claimed it."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the job can never change again."""
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


class OnFailure(StrEnum):
    """What becomes of a half-built container."""

    KEEP = "keep"
    """Leave it as it is, for a look and a retry."""
    STOP = "stop"
    DESTROY = "destroy"


class Lifecycle(StrEnum):
    """Our state of a container."""

    CREATING = "creating"
    """A creation owns it; the provisioner moves it on, also after a crash."""
    READY = "ready"
    FAILED = "failed"
    """Its creation or its deletion failed, and some of it may exist on the host; or a restore has lost it."""
    DELETING = "deleting"
    """A deletion owns it; the provisioner moves it on, also after a crash."""
    DELETED = "deleted"


class Power(StrEnum):
    """What Proxmox reports."""

    RUNNING = "running"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


class ContainerSort(StrEnum):
    """In which order containers are listed; `-` turns it round."""

    CREATED = "created"
    CREATED_LAST = "-created"
    HOSTNAME = "hostname"
    HOSTNAME_LAST = "-hostname"
    VMID = "vmid"
    VMID_LAST = "-vmid"


class ContainerView(StrEnum):
    """How much of each container a list has."""

    FULL = "full"
    SUMMARY = "summary"
    """What a table of containers shows: without `spec`, `pending` and `credentials`."""


class PendingChange(Value):
    """A setting that Proxmox changes at the container's next start, as it is written there."""

    now: str | None = None
    """None: it is not set."""
    after_restart: str | None = None
    """None: it is taken away."""


class Sealed(Value):
    """A secret that only one service can open: X25519, HKDF, AES-256-GCM.

    The associated data (owner and field) is not in here: whoever opens it must know what it is for.
    """

    to: str
    """The service whose public key it was sealed with."""
    ephemeral: str
    """The sender's one-time X25519 public key, base64."""
    box: str
    """Nonce and ciphertext with tag, base64."""


class Outage(Value):
    """A problem of a cluster or a node that lasts; it ends by itself once its cause is gone."""

    code: str
    """Stable, for programs: `cluster.unreachable`, `node.offline`."""
    since: Moment
    message: str
    """For people: what happened and why."""
    remedy: str
    """What to do about it."""
