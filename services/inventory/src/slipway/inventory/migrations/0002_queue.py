"""Jobs wait in the queue of their node; a node may be in maintenance."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what the queue needs; jobs of before have been sent already."""
    op.execute("alter table jobs add column if not exists cluster_id text")
    op.execute("alter table jobs add column if not exists node text")
    op.execute("alter table jobs add column if not exists released_at timestamptz")
    op.execute(
        "update jobs set cluster_id = containers.cluster_id, node = containers.node,"
        " released_at = jobs.created_at from containers"
        " where containers.id = jobs.container_id and jobs.cluster_id is null"
    )
    op.execute("alter table jobs alter column cluster_id set not null, alter column node set not null")
    op.execute("alter table nodes add column if not exists in_maintenance boolean not null default false")
    op.execute(
        "create index if not exists jobs_active on jobs (cluster_id, node, id)"
        " where state in ('queued', 'running')"
    )
