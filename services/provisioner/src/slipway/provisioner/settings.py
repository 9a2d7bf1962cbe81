"""The settings of the provisioner."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from slipway.provisioner.engine.log_bound import LogLimits
from slipway.provisioner.host.work import BOOT_WAIT
from slipway.runtime.process.settings import Duration, ServiceSettings


class ProvisionerSettings(ServiceSettings):
    """The provisioner's settings."""

    table = "provisioner"
    run_slots: int = Field(default=8, ge=1, le=64)
    """How many jobs one replica runs at a time."""
    step_retry_budget: Duration = timedelta(minutes=10)
    """How long a step that can't be done now (a node that is away) is tried again before its job fails."""
    lock_wait: Duration = timedelta(hours=2)
    """How long a job waits for a container that a running task of someone else has locked (a nightly backup)
    before it fails."""
    boot_wait: Duration = BOOT_WAIT
    """How long a new container is waited for until it has an address, and again until its boot is done. Then
    its job fails if the network does not work, and goes on with a warning if it does."""
    proxmox_record: Path | None = None
    """Every request to Proxmox is appended to this file, secrets masked."""
    job_log_bytes: int = Field(default=64 * 1024 * 1024, ge=64 * 1024)
    """How much of one job's log is stored; of a longer one the middle is left out, and a line says how much.
    A script leaves at most a quarter of it, for each of its two streams, in its container."""
    job_log_bytes_per_second: int = Field(default=1024 * 1024, ge=16 * 1024)
    """How fast one job may write its log; what comes faster waits in the container."""

    @property
    def log_limits(self) -> LogLimits:
        """The bounds of a job's log, as a value."""
        return LogLimits(most_bytes=self.job_log_bytes, bytes_per_second=self.job_log_bytes_per_second)
