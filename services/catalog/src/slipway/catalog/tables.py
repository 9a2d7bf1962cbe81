"""Catalog's tables: versions that were ever served, and which of them are served now."""

from sqlalchemy import Boolean, Column, DateTime, Identity, Integer, MetaData, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

versions = Table(
    "template_versions",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("name", Text, nullable=False, index=True),
    Column("version", Text, nullable=False),
    Column("bundle", Text, nullable=False),
    Column("manifest", JSONB, nullable=False),
    Column("is_served", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("name", "bundle"),
)
