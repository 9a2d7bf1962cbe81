"""Jobs claim the name they give and say what they copy; containers say what they were before a deletion."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add it, also for jobs that are active now; of two that give the same name the older one claims it."""
    for column in ("source_id text", "new_hostname text"):
        op.execute(f"alter table jobs add column if not exists {column}")
    for column in ("deleting_as text", "node_at timestamptz", "looked_at timestamptz"):
        op.execute(f"alter table containers add column if not exists {column}")
    op.execute(
        "update jobs set source_id = command->'source'->>'container'"
        " where kind = 'container.clone' and source_id is null"
    )
    op.execute(
        "update jobs set new_hostname = command->'args'->>'hostname' where id in ("
        "select min(id) from jobs where kind = 'container.configure' and state in ('queued', 'running')"
        " and command->'args'->>'hostname' is not null"
        " group by cluster_id, lower(command->'args'->>'hostname'))"
    )
    op.execute(
        "create unique index if not exists claim_hostname_anew on jobs (cluster_id, lower(new_hostname))"
        " where new_hostname is not null and state in ('queued', 'running')"
    )
    op.execute(
        "create index if not exists jobs_copying on jobs (source_id)"
        " where source_id is not null and state in ('queued', 'running')"
    )
