"""Clusters, containers, jobs, credentials, audit; the outbox."""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from slipway.runtime.database import tables

revision = "0001"
down_revision = None

metadata = MetaData()
"""As it was then: what came later is in the later revisions."""

clusters = Table(
    "clusters",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("spec", JSONB, nullable=False),
    Column("secrets", JSONB, nullable=False, comment="field to vault-sealed text; owner is the id"),
    Column("version", Text, nullable=False),
    Column("offered_host_keys", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("name", name="cluster_name"),
)

nodes = Table(
    "nodes",
    metadata,
    Column("cluster_id", Text, ForeignKey("clusters.id"), primary_key=True),
    Column("node", Text, primary_key=True),
    Column("facts", JSONB, nullable=False),
    Column("observed_at", DateTime(timezone=True), nullable=False),
)

containers = Table(
    "containers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("cluster_id", Text, ForeignKey("clusters.id"), nullable=False),
    Column("node", Text, nullable=False),
    Column("hostname", Text, nullable=False),
    Column("vmid", Integer, nullable=False),
    Column("vmid_is_provisional", Boolean, nullable=False),
    Column("template", Text),
    Column("template_version", Text),
    Column("bundle", Text, comment="frozen at acceptance"),
    Column("spec", JSONB, nullable=False),
    Column("lifecycle", Text, nullable=False),
    Column("power", Text, nullable=False),
    Column("observed_at", DateTime(timezone=True)),
    Column("address", Text),
    Column("services", JSONB, nullable=False),
    Column("warnings", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
_LIVES = text("lifecycle <> 'deleted'")
Index(
    "claim_hostname",
    containers.c.cluster_id,
    func.lower(containers.c.hostname),
    unique=True,
    postgresql_where=_LIVES,
)
Index("claim_vmid", containers.c.cluster_id, containers.c.vmid, unique=True, postgresql_where=_LIVES)
Index("containers_living", containers.c.id, postgresql_where=_LIVES)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("container_id", Text, ForeignKey("containers.id"), nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("phase", Text),
    Column("percent", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("command", JSONB, nullable=False, comment="the RunJob as it was sent; holds no secret"),
    Column("retry_of", Text),
    Column("record", JSONB, comment="the newest run record"),
    Column("record_sequence", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
)
Index(
    "claim_job",
    jobs.c.container_id,
    unique=True,
    postgresql_where=text("state in ('queued', 'running')"),
)

vmid_replacements = Table(
    "vmid_replacements",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("refused", Integer, primary_key=True),
    Column("vmid", Integer, nullable=False),
)

credentials = Table(
    "credentials",
    metadata,
    Column("id", Text, primary_key=True),
    Column("container_id", Text, ForeignKey("containers.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("origin", Text, nullable=False, comment="root, variable or discovered"),
    Column("sealed", Text, nullable=False, comment="by the vault; owner is the container, field the name"),
    UniqueConstraint("container_id", "name", name="credential_name"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("details", JSONB, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("actor", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("action", Text, nullable=False),
    Column("digest", Text, nullable=False, comment="of the request without its secrets"),
    Column("reply", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)


def upgrade() -> None:
    """Create everything."""
    tables.create(op.get_bind())
    metadata.create_all(op.get_bind())
