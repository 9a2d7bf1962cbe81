"""Containers can be forgotten, and found again."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add what is remembered of a forgotten container."""
    op.execute("alter table containers add column if not exists forgotten_as text")
    op.execute(
        "create index if not exists containers_forgotten on containers (cluster_id, id)"
        " where forgotten_as is not null"
    )
