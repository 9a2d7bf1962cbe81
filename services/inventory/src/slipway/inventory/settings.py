"""What inventory can be told from outside."""

from pathlib import Path

from pydantic import Field

from slipway.runtime.reach import ReachSettings
from slipway.runtime.settings import DatabaseSettings, ServiceSettings


class InventorySettings(ServiceSettings, DatabaseSettings, ReachSettings):
    """Inventory's settings."""

    database_schema: str = "inventory"
    key_ring_file: Path
    """The key ring that seals secrets at rest; inventory's alone."""
    node_jobs: int = Field(default=8, ge=1, le=256)
    """How many jobs run on one node at a time; the others wait in its queue."""
    node_creations: int = Field(default=2, ge=1, le=64)
    """How many of them may be creations."""
