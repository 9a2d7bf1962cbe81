"""This installation is a row: which one it is, and whether it may act."""

from alembic import op
from sqlalchemy import text

from slipway.runtime.process.ids import new_id

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Make it, active; it is paused by a restore."""
    op.execute(
        "create table if not exists installation ("
        "id text primary key, generation integer not null, state text not null, since timestamptz not null,"
        " cause text, reason text, backup_at timestamptz, baseline jsonb)"
    )
    first = "select :id, 1, 'active', now() where not exists (select from installation)"
    op.execute(
        text(f"insert into installation (id, generation, state, since) {first}").bindparams(id=new_id())
    )
