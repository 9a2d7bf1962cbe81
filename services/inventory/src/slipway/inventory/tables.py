"""Inventory's tables. A partial unique index is a claim: it holds while the thing lives."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.values import JobState
from slipway.runtime.database.tables import outbox_table

metadata = MetaData()
outbox = outbox_table(metadata)

ACTIVE = (JobState.QUEUED, JobState.RUNNING)
"""States of a job that waits or runs."""
MAKING = tuple(kind for kind in JobKind if kind.creates_container)
"""Kinds of jobs whose container does not exist before."""

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
    Column("identity", Text, comment="what tells it from any other cluster; null is not known yet"),
    Column("removed_at", DateTime(timezone=True), comment="null while Slipway looks after it"),
    Column(
        "failed_checks",
        JSONB,
        nullable=False,
        server_default=text("'[]'"),
        comment="required checks that it failed when it was last tested",
    ),
    Column(
        "limits",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="what its containers may use of their hosts; empty is nothing",
    ),
    Column(
        "site_defaults",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="what new containers have where their requests say nothing",
    ),
)
_STAYS = text("removed_at is null")
Index("claim_cluster_name", clusters.c.name, unique=True, postgresql_where=_STAYS)
Index("claim_cluster_identity", clusters.c.identity, unique=True, postgresql_where=_STAYS)

nodes = Table(
    "nodes",
    metadata,
    Column("cluster_id", Text, ForeignKey("clusters.id"), primary_key=True),
    Column("node", Text, primary_key=True),
    Column("facts", JSONB, nullable=False),
    Column("observed_at", DateTime(timezone=True), nullable=False),
    Column("in_maintenance", Boolean, nullable=False, server_default=false()),
    Column("address", Text, comment="the last one that was known"),
    Column("tls_fingerprint", Text, comment="of its API's certificate, the last one that was known"),
)

_TAGS = "lower((spec -> 'tags')::text)::jsonb"
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
    Column("tags", JSONB, Computed(_TAGS, persisted=True), comment="the spec's, in lower case"),
    Column("lifecycle", Text, nullable=False),
    Column("forgotten_as", Text, comment="its lifecycle before it was forgotten; else null"),
    Column("looked_at", DateTime(timezone=True), comment="when it was last looked for, forgotten"),
    Column("deleting_as", Text, comment="its lifecycle before its deletion was accepted"),
    Column("node_at", DateTime(timezone=True), comment="when its node was last seen or proven"),
    Column("power", Text, nullable=False),
    Column("observed_at", DateTime(timezone=True)),
    Column(
        "pending",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="after its next start",
    ),
    Column("config_at", DateTime(timezone=True), comment="when its config was last read on its host"),
    Column("discovered_at", DateTime(timezone=True), comment="when it was last looked into"),
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
Index("containers_tags", containers.c.tags, postgresql_using="gin", postgresql_where=_LIVES)
Index(
    "containers_forgotten",
    containers.c.cluster_id,
    containers.c.id,
    postgresql_where=text("forgotten_as is not null"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("container_id", Text, ForeignKey("containers.id"), index=True, comment="null for a batch"),
    Column("cluster_id", Text),
    Column("node", Text),
    Column("parent_id", Text, comment="the batch it belongs to"),
    Column("source_id", Text, comment="the container that it copies"),
    Column("new_hostname", Text, comment="the name that its container gets; claimed while it is active"),
    Column("released_at", DateTime(timezone=True), comment="when its command was sent; it waits before"),
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
    Column("log_archived_at", DateTime(timezone=True), comment="when its log was stored; null before"),
)
Index(
    "claim_job",
    jobs.c.container_id,
    unique=True,
    postgresql_where=text("state in ('queued', 'running')"),
)

Index(
    "jobs_active",
    jobs.c.cluster_id,
    jobs.c.node,
    jobs.c.id,
    postgresql_where=text("state in ('queued', 'running')"),
)

Index(
    "claim_hostname_anew",
    jobs.c.cluster_id,
    func.lower(jobs.c.new_hostname),
    unique=True,
    postgresql_where=text("new_hostname is not null and state in ('queued', 'running')"),
)

Index(
    "jobs_cloning",
    jobs.c.source_id,
    postgresql_where=text("source_id is not null and state in ('queued', 'running')"),
)

Index(
    "jobs_unarchived",
    jobs.c.id,
    postgresql_where=text("log_archived_at is null and state in ('succeeded', 'failed', 'cancelled')"),
)

Index("jobs_of_parent", jobs.c.parent_id, jobs.c.id, postgresql_where=text("parent_id is not null"))

job_log_parts = Table(
    "job_log_parts",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "after", BigInteger, primary_key=True, comment="the last sequence of the part before; 0 is the first"
    ),
    Column("last", BigInteger, nullable=False),
    Column("packed", LargeBinary, nullable=False),
)

batch_items = Table(
    "batch_items",
    metadata,
    Column("batch_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("container_id", Text),
    Column("vmid", Integer, nullable=False),
    Column("hostname", Text, nullable=False),
    Column("job_id", Text, comment="null if it was not accepted"),
    Column("state", Text, nullable=False),
    Column("error", JSONB),
)

batch_plans = Table(
    "batch_plans",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("items", JSONB, nullable=False, comment="what was shown under it, to tell what changed since"),
    Column("shown_at", DateTime(timezone=True), nullable=False),
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
Index("audit_age", audit.c.at)

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

installation = Table(
    "installation",
    metadata,
    Column("id", Text, primary_key=True, comment="there is one row"),
    Column("generation", Integer, nullable=False, comment="rises with each restore"),
    Column("state", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("cause", Text, comment="why it is paused; null if it is not"),
    Column("reason", Text, comment="the same for people"),
    Column("backup_at", DateTime(timezone=True), comment="when the backup was made that it came from"),
    Column("baseline", JSONB, comment="containers as they were stored when the pause began, by id"),
)
