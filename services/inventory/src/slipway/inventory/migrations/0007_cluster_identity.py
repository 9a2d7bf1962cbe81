"""Clusters are told apart by what they are, can be removed, and are reached through any of their nodes."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add it; identities and certificates are learned when a cluster is looked at."""
    for column in ("identity text", "removed_at timestamptz"):
        op.execute(f"alter table clusters add column if not exists {column}")
    for column in ("address text", "tls_fingerprint text"):
        op.execute(f"alter table nodes add column if not exists {column}")
    op.execute("update nodes set address = facts->>'address' where address is null")
    op.execute("alter table clusters drop constraint if exists cluster_name")
    for column in ("name", "identity"):
        op.execute(
            f"create unique index if not exists claim_cluster_{column} on clusters ({column})"
            " where removed_at is null"
        )
