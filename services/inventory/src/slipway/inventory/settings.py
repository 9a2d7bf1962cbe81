"""Inventory's settings, as they come from outside."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from slipway.runtime.process.settings import DatabaseSettings, Duration, ServiceSettings


class InventorySettings(ServiceSettings, DatabaseSettings):
    """Inventory's settings."""

    table = "inventory"
    database_schema: str = "inventory"
    key_ring_file: Path
    """The key ring that seals secrets at rest; inventory's alone."""
    node_jobs: int = Field(default=8, ge=1, le=256)
    """How many jobs run on one node at a time; the others wait in its queue."""
    node_creations: int = Field(default=2, ge=1, le=64)
    """How many of them may be creations."""
    job_retention: Duration = Field(default=timedelta(days=90), ge=timedelta(days=1))
    """For how long an ended job and its log are stored; the newest of a living container stays."""
    audit_retention: Duration = Field(default=timedelta(days=365), ge=timedelta(days=1))
    """For how long the audit log is stored."""
