"""Sessions."""

from alembic import op
from sqlalchemy import Column, DateTime, MetaData, Table, Text

revision = "0001"
down_revision = None

metadata = MetaData()
"""As it was then: what came later is in the later revisions."""

sessions = Table(
    "sessions",
    metadata,
    Column("digest", Text, primary_key=True, comment="SHA-256 of the cookie"),
    Column("actor", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
)


def upgrade() -> None:
    """Create everything."""
    metadata.create_all(op.get_bind())
