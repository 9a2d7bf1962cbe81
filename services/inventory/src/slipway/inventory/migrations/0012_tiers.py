"""Clusters have a tier of trust; those that were added before have all of it."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add it to what is stored of each cluster."""
    op.execute("""update clusters set spec = spec || '{"tier": "full"}' where not spec ? 'tier'""")
