"""Versions of templates, the outbox."""

from alembic import op
from sqlalchemy import Boolean, Column, DateTime, Identity, Integer, MetaData, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

from slipway.runtime.database import tables

revision = "0001"
down_revision = None

metadata = MetaData()
"""As it was then: what came later is in the later revisions."""

versions = Table(
    "template_versions",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("name", Text, nullable=False, index=True),
    Column("version", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("manifest", JSONB, nullable=False),
    Column("is_served", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("name", "bundle"),
)


def upgrade() -> None:
    """Create everything."""
    tables.create(op.get_bind())
    metadata.create_all(op.get_bind())
