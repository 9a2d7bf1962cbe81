"""Stories of ended jobs are kept; what is old can be found and removed."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add where stories are kept, and what finds the jobs whose story is not yet."""
    op.execute("alter table jobs add column if not exists story_at timestamptz")
    op.execute(
        "create table if not exists story_parts ("
        "job_id text not null references jobs (id) on delete cascade, after bigint not null,"
        " last bigint not null, packed bytea not null, primary key (job_id, after))"
    )
    op.execute(
        "create index if not exists jobs_untold on jobs (id)"
        " where story_at is null and state in ('succeeded', 'failed', 'cancelled')"
    )
    op.execute("create index if not exists audit_age on audit (at)")
