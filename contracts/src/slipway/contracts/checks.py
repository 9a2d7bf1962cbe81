"""What is checked of a cluster before it is saved: the same named checks, however it is connected."""

from enum import StrEnum

from slipway.contracts.message import Value


class CheckState(StrEnum):
    """What became of a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not looked at: an earlier check failed, or the cluster's tier has no use for it."""


class CheckName(StrEnum):
    """What is checked, in this order."""

    NODE_LOGIN = "node-login"
    """Root's password opens the node over SSH, with the host key that was compared."""
    NODE_SCRIPT = "node-script"
    """The token script runs on the node."""
    REACHABLE = "reachable"
    """The API's address answers."""
    CERTIFICATE = "certificate"
    """It shows the certificate that is pinned, or one of the CA."""
    PROXMOX = "proxmox"
    """What answers is the API of Proxmox VE."""
    CREDENTIALS = "credentials"
    """It accepts the token or the password."""
    PRIVILEGES = "privileges"
    """The token may do what the cluster's tier needs."""
    NODES = "nodes"
    """A node of the cluster is online and answers."""
    SSH = "ssh"
    """A node at least can be used over SSH."""
    ENDPOINTS = "endpoints"
    """Each endpoint leads to this very cluster."""
    HOST_KEYS = "host-keys"
    """Every node that is online has a confirmed SSH host key."""
    DISK_STORAGE = "disk-storage"
    """A storage takes disks of containers."""
    TEMPLATE_STORAGE = "template-storage"
    """A storage takes OS templates."""


class Check(Value):
    """One check, what became of it, and what to do about it."""

    name: CheckName
    state: CheckState
    message: str = ""
    """What was seen."""
    remedy: str = ""
    """What to do, if it failed."""
    is_required: bool = True
    """Whether a cluster that fails it is refused, unless one insists."""

    @property
    def is_obstacle(self) -> bool:
        """Whether it keeps a cluster from being saved."""
        return self.is_required and self.state is CheckState.FAILED
