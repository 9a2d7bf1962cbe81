"""What inventory can be told from outside."""

from pathlib import Path

from slipway.runtime.settings import DatabaseSettings, ServiceSettings


class InventorySettings(ServiceSettings, DatabaseSettings):
    """Inventory's settings."""

    database_schema: str = "inventory"
    key_ring_file: Path
    """The key ring that seals secrets at rest; inventory's alone."""
