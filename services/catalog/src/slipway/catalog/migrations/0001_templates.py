"""Versions of templates, the outbox."""

from alembic import op

from slipway.catalog.tables import metadata
from slipway.runtime import tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    tables.create(op.get_bind())
    metadata.create_all(op.get_bind())
