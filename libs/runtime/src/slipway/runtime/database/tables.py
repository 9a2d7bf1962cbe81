"""The table that every service with a relay has in its schema: the outbox."""

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


def create(connection: Connection, schema: str | None = None) -> None:
    """Create it, in a service's first migration: `tables.create(op.get_bind())`."""
    metadata = MetaData()
    outbox_table(metadata, schema)
    metadata.create_all(connection)
