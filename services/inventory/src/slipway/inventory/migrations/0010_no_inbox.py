"""The inbox is gone: no handler ever wrote to it."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Drop it where an earlier version created it."""
    op.execute("drop table if exists inbox")
