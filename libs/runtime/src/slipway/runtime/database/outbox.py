"""Publish messages from the transaction that makes them true: a transactional outbox.

Theory of operation. `add` writes the message in the same transaction as the rows and notifies; nothing uses
the network before the commit. The relay, one per schema by an advisory lock, reads rows in the order of their
ids, and publishes them without waiting for each. What was acknowledged is deleted with the next look, after
`POLL_SECONDS` at most. A crash between the two repeats the publish; the message id makes the bus store it
once.

Guarantees. A committed row is published, at least once to the bus and once within its duplicate window. A
command leaves only when every earlier row is acknowledged: its receiver can rely on the events before it.
Non-guarantees. Ids are assigned before the commit, so two transactions may leave in either order: to keep the
order of one entity's events, lock its row before `add`.
"""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
from nats.errors import Error as NatsError
from nats.js.errors import APIError
from sqlalchemy import Select, Text, func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.message import Message
from slipway.contracts.problems import TooLarge
from slipway.runtime.bus import headers as h
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.publisher import WRONG_SEQUENCE
from slipway.runtime.database.engine import CONNECT_SECONDS, STATEMENT_SECONDS, Database, needs_database
from slipway.runtime.process import metrics
from slipway.runtime.process.logs import get_logger
from slipway.runtime.retry import Backoff
from slipway.runtime.topology.declared import stream_of

log = get_logger()

BATCH = 200
POLL_SECONDS = 5.0
"""The net under NOTIFY."""
STANDBY_SECONDS = 1.0
"""How soon a standby takes over."""
IDLE_SECONDS = 30
"""After this PostgreSQL ends the session of a relay that hangs, and its lock; a working one sends a statement
at least every `POLL_SECONDS`, `ACK_SECONDS` and `LONGEST_DELAY_SECONDS`."""
ACK_SECONDS = 5.0
LONGEST_DELAY_SECONDS = 10.0
LARGEST_BYTES = 512 * 1024
"""Half of what the bus allows, so that a committed row can always leave."""

_ADDED = (
    text("""
    insert into outbox (message_id, subject, payload, headers)
    select message_id, subject, payload, cast(headers as jsonb)
    from unnest(
        cast(:message_ids as text[]), cast(:subjects as text[]),
        cast(:payloads as bytea[]), cast(:message_headers as text[])
    ) with ordinality as row (message_id, subject, payload, headers, place)
    order by place
    """)
    .columns()
    .cte("added")
)
_ADD = select(func.pg_notify(literal("outbox_", Text) + func.current_schema(), "")).add_cte(_ADDED)
_NEXT = """with sent as (delete from outbox where id = any($1::bigint[]))
    select id, subject, payload, headers from outbox
    where id <> all($1::bigint[]) and (subject not like 'slipway.v1.command.%' or {commands_while})
    order by id limit $2
"""
_DELETE = "delete from outbox where id = any($1::bigint[])"
_LOCK = "select pg_try_advisory_lock(hashtext('outbox ' || current_schema()))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message for the outbox."""

    message: Message
    message_id: str
    """Identifies a repetition."""
    expect_last_subject_sequence: int | None = None
    """0 for the first event on its subject; if the bus refuses because there is one, it is this one."""


def addition(messages: Sequence[Outgoing]) -> tuple[Select[Any], dict[str, Any]]:
    """Return the statement that adds messages in their order, and its values; it can take more along."""
    names = ("message_ids", "subjects", "payloads", "message_headers")
    columns = zip(*map(_row_of, messages), strict=True)
    return _ADD, {name: list(column) for name, column in zip(names, columns, strict=True)}


async def add_all(connection: AsyncConnection, messages: Sequence[Outgoing]) -> None:
    """Add many messages in their order, with one statement: as `add`."""
    if messages:
        await connection.execute(*addition(messages))


async def add(connection: AsyncConnection, message: Message, *, message_id: str) -> None:
    """Add an event or a command to the outbox, in the transaction that makes it true."""
    await add_all(connection, [Outgoing(message=message, message_id=message_id)])


def _row_of(outgoing: Outgoing) -> tuple[str, str, bytes, str]:
    """Return message id, subject, payload and headers."""
    message = outgoing.message
    subject, payload = message.subject_of(), message.model_dump_json().encode()
    if stream_of(subject) is None:
        raise TypeError(f"{type(message).__name__} is not stored: ask it")
    if len(payload) > LARGEST_BYTES:
        raise TooLarge("The message is larger than the bus allows.", subject=subject)
    headers = h.of_message(message, service="", message_id=outgoing.message_id)
    if outgoing.expect_last_subject_sequence is not None:
        headers[h.EXPECTED_SEQUENCE] = str(outgoing.expect_last_subject_sequence)
    return outgoing.message_id, subject, payload, json.dumps(headers)


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    subject: str
    payload: bytes
    headers: dict[str, str]

    @property
    def is_command(self) -> bool:
        return self.subject.startswith("slipway.v1.command.")


class Outbox:
    """The relay from the outbox to the bus; run it in the background of every replica."""

    def __init__(self, database: Database, bus: Bus, *, commands_while: str = "true") -> None:
        """Prepare.

        Args:
            database: whose outbox.
            bus: where the messages go.
            commands_while: a condition in SQL: while it is false, commands stay and events leave.
        """
        self._database = database
        self._next_rows = _NEXT.format(commands_while=commands_while)
        self._bus = bus
        self._wake = asyncio.Event()
        self._sent: list[int] = []
        """Rows that the bus has, and that are not deleted yet."""

    async def run(self) -> None:
        """Relay until cancelled; wait in line while another replica does.

        Raises:
            DatabaseUnavailable: when there is no connection.
        """
        channel = f"outbox_{self._database.schema}"
        with needs_database("The database did not answer the outbox."):
            connection = await self._connect()
            try:
                while not await connection.fetchval(_LOCK):  # noqa: ASYNC110 - PostgreSQL notifies nobody of a released lock
                    await asyncio.sleep(STANDBY_SECONDS)
                await connection.add_listener(channel, lambda *_details: self._wake.set())
                log.info("outbox relay active", schema=self._database.schema)
                await self._relay(connection)
            finally:
                # The lock must be released even if the server does not answer.
                with suppress(Exception):
                    await connection.execute(_DELETE, self._sent, timeout=1)
                    self._sent = []
                with suppress(Exception):
                    await connection.close(timeout=1)

    async def _relay(self, connection: "asyncpg.Connection[Any]") -> None:
        backoff = Backoff(first_seconds=0.1, longest_seconds=LONGEST_DELAY_SECONDS)
        while True:
            self._wake.clear()
            rows = await self._next(connection)
            self._sent, refused = await self._publish(rows)
            metrics.outbox_sent.inc(len(self._sent))
            if refused:
                await backoff.wait()
                continue
            backoff.reset()
            if len(rows) < BATCH:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)

    async def _next(self, connection: "asyncpg.Connection[Any]") -> Sequence[_Row]:
        """Delete what was sent, and return what follows."""
        records = await connection.fetch(self._next_rows, self._sent, BATCH)
        metrics.outbox_waiting.set(len(records))
        return [
            _Row(row["id"], row["subject"], row["payload"], json.loads(row["headers"])) for row in records
        ]

    async def _publish(self, rows: Sequence[_Row]) -> tuple[list[int], bool]:
        """Publish in order; return the ids of the published rows, and whether any was refused."""
        sent: list[int] = []
        unsettled: list[tuple[_Row, asyncio.Future[int]]] = []
        for row in rows:
            if row.is_command and any(not earlier.is_command for earlier, _ in unsettled):
                done = await self._settle(unsettled)
                sent += done
                if len(done) < len(unsettled):
                    return sent, True
                unsettled = []
            headers = {**row.headers, "ce-source": f"/slipway/{self._bus.service}"}
            try:
                unsettled.append((row, await self._bus.publish_raw(row.subject, row.payload, headers)))
            except NatsError as error:
                log.warning("outbox row not published", error=str(error))
                return sent + await self._settle(unsettled), True
        done = await self._settle(unsettled)
        return sent + done, len(done) < len(unsettled)

    async def _settle(self, published: Sequence[tuple[_Row, asyncio.Future[int]]]) -> list[int]:
        """Wait for the acknowledgements; return the ids of the rows that the bus has."""
        if not published:
            return []
        futures = [future for _, future in published]
        _, late = await asyncio.wait(futures, timeout=ACK_SECONDS)
        for future in late:
            future.cancel()
        return [row.id for row, future in published if _is_stored(row, future)]

    async def _connect(self) -> "asyncpg.Connection[Any]":
        url = self._database.url
        return await asyncpg.connect(
            url.render_as_string(hide_password=False),
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            server_settings={
                "search_path": self._database.schema,
                "application_name": f"slipway-{self._database.schema}-outbox",
                "idle_session_timeout": f"{IDLE_SECONDS}s",
                "tcp_keepalives_idle": "10",
                "tcp_keepalives_interval": "5",
                "tcp_keepalives_count": "3",
            },
        )


def _is_stored(row: _Row, future: "asyncio.Future[int]") -> bool:
    if future.cancelled() or not future.done():
        log.warning("outbox row not confirmed", id=row.id, subject=row.subject)
        return False
    error = future.exception()
    if error is None:
        return True
    first = row.headers.get(h.EXPECTED_SEQUENCE) == "0"
    if first and isinstance(error, APIError) and error.err_code in WRONG_SEQUENCE:
        return True
    log.warning("outbox row refused", id=row.id, subject=row.subject, error=str(error))
    return False
