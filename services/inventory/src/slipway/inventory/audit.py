"""The audit audit, and the memory of requests that were already done."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Row, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.clusters import AuditEntry, AuditPage
from slipway.contracts.message import Value
from slipway.contracts.problems import Conflict
from slipway.inventory.paging import page
from slipway.inventory.tables import audit, idempotency
from slipway.runtime.bus.call import Call
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id

ReplyT = TypeVar("ReplyT", bound=Value)


class IdempotencyMismatch(Conflict):
    """The same key came with another request."""

    code = "idempotency.mismatch"


async def note(
    connection: AsyncConnection, call: Call, action: str, target: str, outcome: str, **details: str
) -> None:
    """Write down who did what, in the transaction that does it."""
    await note_all(connection, call, outcome, [(action, target, details)])


async def note_all(
    connection: AsyncConnection,
    call: Call,
    outcome: str,
    entries: Sequence[tuple[str, str, Mapping[str, str]]],
) -> None:
    """Write down many acts of one call: action, target, details."""
    rows = [
        {
            "id": new_id(),
            "at": now(),
            "actor": call.actor,
            "action": action,
            "target": target,
            "outcome": outcome,
            "correlation_id": call.correlation_id,
            "details": dict(details),
        }
        for action, target, details in entries
    ]
    if rows:
        await connection.execute(insert(audit), rows)


def digest_of(request: Value) -> str:
    """Tell requests apart, by what is not secret in them."""
    return hashlib.sha256(
        request.model_dump_json(exclude={"password", "secret_variables", "secrets"}).encode()
    ).hexdigest()


async def replayed(
    connection: AsyncConnection, call: Call, action: str, request: Value, reply: type[ReplyT]
) -> ReplyT | None:
    """Give the reply that this key got before.

    Raises:
        IdempotencyMismatch: if the key was used for something else.
    """
    if call.idempotency_key is None:
        return None
    row = (
        await connection.execute(
            select(idempotency).where(
                idempotency.c.actor == call.actor, idempotency.c.key == call.idempotency_key
            )
        )
    ).first()
    if row is None:
        return None
    if (row.action, row.digest) != (action, digest_of(request)):
        raise IdempotencyMismatch("This Idempotency-Key was used for another request; take a new one.")
    return reply.model_validate(row.reply)


async def done_meanwhile(
    connection: AsyncConnection, call: Call, action: str, request: Value, reply: type[ReplyT]
) -> ReplyT | None:
    """Wait for a request that is being done under the same key, and give its reply; None if there is none.

    To be called first in the transaction that does the request: who comes next under the key waits for it.
    """
    if call.idempotency_key is None:
        return None
    key = f"key {call.actor} {call.idempotency_key}"
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
    return await replayed(connection, call, action, request, reply)


async def remember(
    connection: AsyncConnection, call: Call, action: str, request: Value, reply: Value
) -> None:
    """Keep the reply for whoever asks again under the same key.

    Raises:
        IdempotencyMismatch: if the same key is being used at this very moment; ask again to get its reply.
    """
    if call.idempotency_key is None:
        return
    stored = await connection.execute(
        upsert(idempotency)
        .values(
            actor=call.actor,
            key=call.idempotency_key,
            action=action,
            digest=digest_of(request),
            reply=reply.model_dump(mode="json"),
            created_at=now(),
        )
        .on_conflict_do_nothing()
    )
    if stored.rowcount == 0:
        raise IdempotencyMismatch("A request under this Idempotency-Key is being done; ask again.")


class AuditStore:
    """The audit log by itself."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, call: Call, action: str, target: str, **details: str) -> None:
        """Write down what was done outside of the tables."""
        async with self._database.begin() as connection:
            await note(connection, call, action, target, "done", **details)

    async def entries(self, *, limit: int, cursor: str | None) -> AuditPage:
        """Give entries, newest first."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit + 1)
        if cursor is not None:
            query = query.where(audit.c.id < cursor)
        async with self._database.begin() as connection:
            rows = (await connection.execute(query)).all()
        items, following = page(rows, limit, _entry, "id")
        return AuditPage(items=items, next=following)


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry.model_validate(dict(row._mapping))  # noqa: SLF001  SQLAlchemy's public name for it
