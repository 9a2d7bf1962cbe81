"""The changes of a request as data: decided in a transaction, then committed; a plan only shows them.

`decide(tx, ...)` reads and locks through its transaction and refuses the impossible; it writes nothing.
`UnitOfWork` commits the decision.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy import UpdateBase

from slipway.contracts.jobs import RunJob
from slipway.contracts.message import Id
from slipway.runtime.database.outbox import Outgoing

ReplyT = TypeVar("ReplyT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A statement that changes one table and reads no other, and the rows that it inserts if it takes any."""

    statement: UpdateBase
    rows: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditNote:
    """An audit entry; actor and time are added by the commit."""

    action: str
    target: str
    outcome: str = "done"
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Generic[ReplyT]):
    """The changes of a request, and its reply."""

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
    """Containers and a VMID that Proxmox has just called gone or free; rows and older facts don't count."""

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
