"""The inbox is gone: no handler ever wrote to it."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Drop it where an earlier version created it."""
    op.execute("drop table if exists inbox")
