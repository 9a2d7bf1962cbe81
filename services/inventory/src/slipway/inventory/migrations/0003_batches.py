"""Batches: a job may have a parent; a batch has items and no container; plans that were shown."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what batches need."""
    for column in ("container_id", "cluster_id", "node"):
        op.execute(f"alter table jobs alter column {column} drop not null")
    op.execute("alter table jobs add column if not exists parent_id text")
    op.execute(
        "create index if not exists jobs_of_parent on jobs (parent_id, id) where parent_id is not null"
    )
    op.execute(
        "create table if not exists batch_items ("
        "batch_id text not null references jobs (id) on delete cascade,"
        " index integer not null, container_id text, vmid integer not null, hostname text not null,"
        " job_id text, state text not null, error jsonb, primary key (batch_id, index))"
    )
    op.execute(
        "create table if not exists batch_plans (hash text primary key, items jsonb not null,"
        " shown_at timestamptz not null)"
    )
