"""Containers keep what changes at their next start, and when their config was last read."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add it; what is not known of a container is looked for when it changes."""
    op.execute("alter table containers add column if not exists pending jsonb not null default '{}'")
    for column in ("config_at timestamptz", "discovered_at timestamptz"):
        op.execute(f"alter table containers add column if not exists {column}")
