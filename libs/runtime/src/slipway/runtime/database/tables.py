"""The two tables that every service with a schema has: its outbox and its inbox."""

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Identity,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB


def outbox_table(metadata: MetaData, schema: str | None = None) -> Table:
    """Describe the table of messages that wait to be published."""
    return Table(
        "outbox",
        metadata,
        Column("id", BigInteger, Identity(always=True), primary_key=True),
        Column("message_id", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("headers", JSONB, nullable=False),
        Column("added_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        schema=schema,
    )


def inbox_table(metadata: MetaData, schema: str | None = None) -> Table:
    """Describe the table of messages that took effect already."""
    return Table(
        "inbox",
        metadata,
        Column("consumer", Text, primary_key=True),
        Column("message_id", Text, primary_key=True),
        Column("taken_at", DateTime(timezone=True), nullable=False, server_default=func.now(), index=True),
        schema=schema,
    )


def create(connection: Connection, schema: str | None = None) -> None:
    """Create both, in a service's first migration: `tables.create(op.get_bind())`."""
    metadata = MetaData()
    outbox_table(metadata, schema)
    inbox_table(metadata, schema)
    metadata.create_all(connection)
