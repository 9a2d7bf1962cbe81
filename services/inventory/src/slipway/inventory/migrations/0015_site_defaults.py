"""A cluster says what its new containers have where their requests say nothing."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add it: none are set."""
    op.execute("alter table clusters add column if not exists site_defaults jsonb not null default '{}'")
