"""What the provisioner can be told from outside."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from slipway.runtime.reach import ReachSettings
from slipway.runtime.settings import Duration, ServiceSettings


class ProvisionerSettings(ServiceSettings, ReachSettings):
    """The provisioner's settings."""

    table = "provisioner"
    run_slots: int = Field(default=8, ge=1, le=64)
    """How many jobs one replica runs at a time."""
    step_patience: Duration = timedelta(minutes=10)
    """How long a step that can't be done now (a node that is away) is tried again before its job fails."""
    proxmox_record: Path | None = None
    """Every request to Proxmox is appended to this file, secrets masked."""
