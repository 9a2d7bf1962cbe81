"""A cluster that was saved although checks failed is marked with them."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the marks; clusters of before passed."""
    op.execute("alter table clusters add column if not exists failed_checks jsonb not null default '[]'")
