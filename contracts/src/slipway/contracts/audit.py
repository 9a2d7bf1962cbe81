"""The audit: who did what, and how it ended."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from slipway.contracts.message import Id, Moment, Query, Value


class AuditEntry(Value):
    """One act: actor, action, target, outcome."""

    id: Id
    at: Moment
    actor: str
    action: str
    """`container.create`, `credential.reveal`, `cluster.add`."""
    target: str
    outcome: str
    correlation_id: str
    details: Mapping[str, str] = Field(default_factory=dict)


class AuditPage(Value):
    """Some entries, and where to go on."""

    items: tuple[AuditEntry, ...]
    next: str | None = None


class ListAudit(Query[AuditPage]):
    """The audit log, newest first."""

    subject: ClassVar[str] = "slipway.v1.query.inventory.audit.list"
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = None
