"""The unit of work: one request, one transaction, once for each Idempotency-Key.

Every change goes through here. It opens the transaction, has the request decided on, and writes what was
decided: rows, jobs, messages in the outbox, audit entries and the reply for a repetition. Either all of it
is stored or nothing. A plan gets the decision and stops.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, cast

from sqlalchemy import Executable, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.jobs import RunJob
from slipway.contracts.message import Query, Value
from slipway.contracts.problems import Conflict
from slipway.inventory.containers.claims import broken_claim
from slipway.inventory.decision import AuditNote, Decide, Decision, Write
from slipway.inventory.jobs.enqueuer import JobEnqueuer, refuse_too_large
from slipway.inventory.tables import audit, idempotency
from slipway.inventory.writing import write
from slipway.runtime.bus.call import Call
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id

ReplyT = TypeVar("ReplyT")
StoredT = TypeVar("StoredT", bound=Value)
_SECRET = {"password", "secret_variables", "secrets"}
"""Fields that don't distinguish requests: they are sealed anew each time."""


class IdempotencyMismatch(Conflict):
    """The same key came with another request."""

    code = "idempotency.mismatch"


@dataclass(frozen=True, slots=True)
class UnitOfWork:
    """Commits decisions."""

    database: Database
    enqueuer: JobEnqueuer

    async def stored_reply(self, call: Call, action: str, request: Query[StoredT]) -> StoredT | None:
        """Return the reply that the same request got under its key; None if there is none."""
        if call.idempotency_key is None:
            return None
        async with self.database.autocommit() as tx:
            return await _stored_reply(tx, call, action, request)

    async def once(
        self, call: Call, action: str, request: Query[StoredT], decide: Decide[StoredT]
    ) -> StoredT:
        """Decide on a request and commit the decision; under a key that was used, return its first reply.

        Raises:
            IdempotencyMismatch: if the key was used for something else.
        """
        async with self._begin() as tx:
            if call.idempotency_key is not None:
                # The next request under the key waits for this transaction.
                key = f"key {call.actor} {call.idempotency_key}"
                await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))
                stored = await _stored_reply(tx, call, action, request)
                if stored is not None:
                    return stored
            decision = await decide(tx)
            replies = [] if call.idempotency_key is None else [_reply(call, action, request, decision.reply)]
            await self._commit(tx, call, decision, *replies)
        return decision.reply

    async def run(self, call: Call, decide: Decide[ReplyT]) -> ReplyT:
        """Decide on a request that has no key, and commit the decision."""
        async with self._begin() as tx:
            decision = await decide(tx)
            await self._commit(tx, call, decision)
        return decision.reply

    async def apply(self, statement: Executable, values: Mapping[str, object]) -> Any:
        """Make a change that is one statement and causes nothing else; return what the statement returns."""
        async with self.database.autocommit() as connection:
            return await connection.scalar(statement, dict(values))

    async def plan(self, decide: Decide[ReplyT]) -> Decision[ReplyT]:
        """Decide on a request, and return the decision; nothing is written."""
        async with self.database.begin() as tx:
            decision = await decide(tx)
        for command in decision.commands:
            refuse_too_large(command)
        return decision

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction whose broken claims become errors that say so."""
        try:
            async with self.database.begin() as tx:
                yield tx
        except IntegrityError as error:
            if (refusal := broken_claim(error)) is None:
                raise
            raise refusal from error

    async def _commit(
        self, tx: AsyncConnection, call: Call, decision: Decision[ReplyT], *further: Write
    ) -> None:
        writes = [*decision.writes]
        if decision.released:
            # What waits is looked for after the writes: one of them ends the job that it waited for.
            await write(tx, writes)
            writes = []
        rows, outgoing = await self.enqueuer.enqueue(tx, call, decision.commands, parent=decision.parent)
        outgoing = [*decision.events, *outgoing]
        for cluster, node in decision.released:
            outgoing += await self.enqueuer.queue.release(tx, cluster, node)
        notes = _notes(call, [*decision.audit, *map(_acceptance_of, decision.commands)])
        await write(tx, [*writes, *rows, *notes, *further], outgoing)


def _acceptance_of(command: RunJob) -> AuditNote:
    action = "job.retry" if command.retry_of else str(command.kind)
    place, details = f"{command.target.cluster_name}/{command.target.node}", {"job": command.job}
    target = command.target.container if command.kind.has_container else place
    return AuditNote(action=action, target=target, outcome="accepted", details=details)


def _notes(call: Call, notes: Sequence[AuditNote]) -> Sequence[Write]:
    rows = [
        {
            "id": new_id(),
            "at": now(),
            "actor": call.actor,
            "correlation_id": call.correlation_id,
            **asdict(note),
        }
        for note in notes
    ]
    return [Write(statement=insert(audit), rows=rows)] if rows else []


async def _stored_reply(
    tx: AsyncConnection, call: Call, action: str, request: Query[StoredT]
) -> StoredT | None:
    same = (idempotency.c.actor == call.actor, idempotency.c.key == call.idempotency_key)
    row = (await tx.execute(select(idempotency).where(*same))).first()
    if row is None:
        return None
    if row.action != action or row.digest not in {"", _digest(request)}:
        raise IdempotencyMismatch("This Idempotency-Key was used for another request; take a new one.")
    return cast("StoredT", request.reply_type().model_validate(row.reply))


def _reply(call: Call, action: str, request: Value, reply: Value) -> Write:
    row = {
        "actor": call.actor,
        "key": call.idempotency_key,
        "action": action,
        "digest": _digest(request),
        "reply": reply.model_dump(mode="json"),
        "created_at": now(),
    }
    return Write(statement=insert(idempotency), rows=[row])


def _digest(request: Value) -> str:
    return hashlib.sha256(request.model_dump_json(exclude=_SECRET).encode()).hexdigest()
