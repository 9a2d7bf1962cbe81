"""What a request changes, as data: decided in a transaction, then committed; a plan only shows it.

`decide(tx, ...)` reads and locks through its transaction and refuses what can't be; it writes nothing.
`UnitOfWork` commits what it returns.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy import Executable

from slipway.contracts.jobs import RunJob
from slipway.contracts.message import Id
from slipway.runtime.database.outbox import Outgoing

ReplyT = TypeVar("ReplyT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A statement, and the rows that it takes if it takes any."""

    statement: Executable
    rows: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditNote:
    """What the audit log says of an act; who and when comes with the commit."""

    action: str
    target: str
    outcome: str = "done"
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Generic[ReplyT]):
    """What a request changes, and its reply."""

    reply: ReplyT
    writes: Sequence[Write] = ()
    """In their order; jobs are not among them."""
    events: Sequence[Outgoing] = ()
    commands: Sequence[RunJob] = ()
    """Jobs to enqueue: each gets its row, its fact and its audit entry, and is sent in its turn."""
    parent: Id | None = None
    """The batch that the jobs belong to."""
    released: Sequence[tuple[Id, str]] = ()
    """Nodes, by cluster and name, on which waiting jobs may begin after the writes."""
    audit: Sequence[AuditNote] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """What Proxmox has just called gone or free, whatever rows and older facts say."""

    containers: frozenset[Id] = frozenset()
    """Their names and VMIDs don't count: a plan decides as if they were given up."""
    is_vmid_free: bool = False
    """Whether the requested VMID is free."""


NOTHING_GONE = Gone()
Decide = Callable[[Any], Awaitable[Decision[ReplyT]]]
"""From an open transaction to a decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A name and a VMID that a request needs."""

    cluster: Id
    hostname: str
    vmid: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal(Generic[ReplyT]):
    """A request that was checked and completed outside of a transaction, ready to be decided on."""

    decide: Callable[[Any, Gone], Awaitable[Decision[ReplyT]]]
    claim: Claim | None = None
