"""The gateway's tables: who is signed in."""

from sqlalchemy import Column, DateTime, MetaData, Table, Text

metadata = MetaData()

sessions = Table(
    "sessions",
    metadata,
    Column("digest", Text, primary_key=True, comment="SHA-256 of the cookie"),
    Column("actor", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
)
