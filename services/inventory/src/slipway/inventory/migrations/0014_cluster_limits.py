"""A cluster says what its containers may use of their hosts; the settings of two services did before."""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add it: nothing is allowed until an admin says so."""
    op.execute("alter table clusters add column if not exists limits jsonb not null default '{}'")
