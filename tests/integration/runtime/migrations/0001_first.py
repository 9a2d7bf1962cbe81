"""The runtime's own tables and one of a service's."""

import sqlalchemy as sa
from alembic import op

from slipway.runtime.database import tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    tables.create(op.get_bind())
    op.create_table("things", sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.Text))
