"""Plain names: the stored logs of ended jobs, jobs that clone."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Rename; nothing is copied. The digests of requests are cleared: they hold the old names."""
    op.execute("alter table jobs rename column story_at to log_archived_at")
    op.execute("alter table story_parts rename to job_log_parts")
    op.execute("alter index jobs_untold rename to jobs_unarchived")
    op.execute("alter index jobs_copying rename to jobs_cloning")
    op.execute("update idempotency set digest = ''")


def downgrade() -> None:
    """Rename back."""
    op.execute("alter index jobs_cloning rename to jobs_copying")
    op.execute("alter index jobs_unarchived rename to jobs_untold")
    op.execute("alter table job_log_parts rename to story_parts")
    op.execute("alter table jobs rename column log_archived_at to story_at")
