"""Clusters, containers, jobs, credentials, audit; the outbox and the inbox."""

from alembic import op

from slipway.inventory.tables import metadata
from slipway.runtime import tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    tables.create(op.get_bind())
    metadata.create_all(op.get_bind())
