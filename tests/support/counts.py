"""Counts of what a stack did: PostgreSQL's statements and commits, messages that the bus stored.

PostgreSQL writes each statement to its log meanwhile, which costs time: nothing else is measured then.
"""

import asyncio
import collections
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import nats
from nats.aio.msg import Msg

from slipway.runtime.topology.declared import LIVE_PREFIX
from support.stack import RunningStack

_STATEMENT = re.compile(rb" \[(\d+)\] LOG:  duration: \S+ ms  (?:statement|execute [^:]*): (.*)")
_LOGGING = ("log_parameter_max_length", "log_min_duration_statement")
_ENDS = ("COMMIT", "ROLLBACK")
_CHECKS = ("BEGIN", *_ENDS, "select 1", "with sent as (delete from outbox")
_FACTS = "event.node.observed"
"""Of a node: read every few minutes, and when guests come or go."""
_SETTLE_SECONDS = 0.3
"""Until the log shows the statements that have ended."""


Transaction = tuple[str, ...]
"""Its statements, with those of a ping that preceded it; also a statement outside of any transaction."""


@dataclass(slots=True)
class Counts:
    """What was counted; filled when the block ends."""

    transactions: list[Transaction] = field(default_factory=list)
    stored: Mapping[str, int] = field(default_factory=dict)
    """Stream to how many messages it stored."""
    subjects: list[str] = field(default_factory=list)
    """Of the events, records and commands among them."""

    @property
    def statements(self) -> int:
        """How many statements there were; begins, commits and pings too."""
        return sum(map(len, self.transactions))

    @property
    def commits(self) -> int:
        """How many transactions were committed."""
        return sum(each[-1].startswith("COMMIT") for each in self.transactions)

    @property
    def messages(self) -> int:
        """How many messages the bus stored."""
        return sum(self.stored.values())

    def beyond(self, rest: "Counts") -> "Counts":
        """Return what does not happen at rest too: other transactions, other kinds of messages.

        Checks are left out: whether all parts answer is asked once a second while somebody watches.
        """
        usual = set(rest.transactions)
        kinds = {*map(_kind_of, rest.subjects), _FACTS}
        subjects = [each for each in self.subjects if _kind_of(each) not in kinds]
        return Counts(
            [each for each in self.without_checks().transactions if each not in usual],
            collections.Counter(map(_kind_of, subjects)),
            subjects,
        )

    def each(self, acts: int) -> "Counts":
        """Return what each of several equal acts did; what happened less often was something else."""
        shapes = collections.Counter(self.transactions)
        return Counts(
            [shape for shape, count in shapes.items() for _ in range(count // acts)],
            {name: count // acts for name, count in self.stored.items()},
        )

    def without_checks(self) -> "Counts":
        """Return it without what only asks whether the database answers, or has something to send."""
        worked = [each for each in self.transactions if not all(map(_is_check, each))]
        return Counts(worked, self.stored)


class Counter:
    """Counts in a running stack."""

    def __init__(self, stack: RunningStack) -> None:
        self._log = stack.data / "postgres.log"
        self._admin_url = stack.database_url_of_admin
        self._nats = stack.endpoints["nats"]
        self._key = stack.data / "identities" / "admin.nk"
        self._offset = 0
        """Where in PostgreSQL's log the counting began."""

    @asynccontextmanager
    async def logging(self) -> AsyncIterator[None]:
        """Have PostgreSQL write each statement to its log, without its values."""
        await self._set(*(f"alter system set {name} = 0" for name in _LOGGING))
        try:
            yield
        finally:
            await self._set(*(f"alter system reset {name}" for name in _LOGGING))

    @asynccontextmanager
    async def counting(self) -> AsyncIterator[Counts]:
        """Count what happens in the block, within `logging`."""
        counts = Counts()
        async with self._listening(counts.subjects):
            before, self._offset = await self._stored(), self._log.stat().st_size
            yield counts
            await asyncio.sleep(_SETTLE_SECONDS)
            after = await self._stored()
        counts.stored = {stream: last - before.get(stream, 0) for stream, last in after.items()}
        counts.transactions = list(_transactions(self._log, self._offset))

    def has_logged(self, statement: str) -> bool:
        """Return whether a statement with this text was run since the counting began."""
        found = _transactions(self._log, self._offset)
        return any(statement in each for transaction in found for each in transaction)

    @asynccontextmanager
    async def _listening(self, subjects: list[str]) -> AsyncIterator[None]:
        """Note the subject of each event, record and command that is stored while the block runs."""

        async def note(message: Msg) -> None:
            subjects.append(message.subject.removeprefix(LIVE_PREFIX))

        connection = await nats.connect(self._nats, nkeys_seed=str(self._key))
        try:
            for subject in (f"{LIVE_PREFIX}>", "slipway.v1.command.>"):
                await connection.subscribe(subject, cb=note)
            await connection.flush()
            yield
            await connection.flush()
        finally:
            await connection.close()

    async def _set(self, *statements: str) -> None:
        connection = await asyncpg.connect(self._admin_url)
        try:
            for statement in (*statements, "select pg_reload_conf()"):
                await connection.execute(statement)
            await asyncio.sleep(_SETTLE_SECONDS)
        finally:
            await connection.close()

    async def _stored(self) -> dict[str, int]:
        """Return how many messages each stream has ever stored."""
        connection = await nats.connect(self._nats, nkeys_seed=str(self._key))
        try:
            streams = await connection.jetstream().streams_info()
            return {each.config.name or "": each.state.last_seq for each in streams}
        finally:
            await connection.close()


def _transactions(log: Path, offset: int) -> Iterator[Transaction]:
    """Put together what each connection's statements were; those that have not ended are left out."""
    opened: dict[bytes, list[str]] = {}
    with log.open("rb") as file:
        file.seek(offset)
        for found in filter(None, map(_STATEMENT.search, file)):
            statement = found[2].decode(errors="replace")
            statements = opened.setdefault(found[1], [])
            statements.append(statement)
            is_ping = statements == ["BEGIN;", "ROLLBACK;"]
            is_open = any(each.startswith("BEGIN") for each in _since_ping(statements))
            if not is_ping and (not is_open or statement.startswith(_ENDS)):
                yield tuple(opened.pop(found[1]))


def _kind_of(subject: str) -> str:
    """Return a subject without what names one thing: `event.job.step`."""
    _, _, *tokens = subject.split(".")
    return ".".join((*tokens[:2], *tokens[3:])) if tokens[0] in {"event", "state"} else ".".join(tokens)


def _is_check(statement: str) -> bool:
    return statement.startswith(_CHECKS)


def _since_ping(statements: list[str]) -> list[str]:
    return statements[2:] if statements[:2] == ["BEGIN;", "ROLLBACK;"] else statements
