"""Containers can be searched by their tags."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the tags as a column, in lower case, and their index."""
    op.execute(
        "alter table containers add column if not exists tags jsonb"
        " generated always as (lower((spec -> 'tags')::text)::jsonb) stored"
    )
    op.execute(
        "create index if not exists containers_tags on containers using gin (tags)"
        " where lifecycle <> 'deleted'"
    )
