"""Publish messages to streams, one by one or several atomically, and read the last one back.

Theory of operation. Everything stored has a message id, so a publish whose answer got lost is simply sent
again: the bus stores an id once within the duplicate window. Guarantee: when a call returns, the message is
on disk, once. Non-guarantee: when it raises `BusUnavailable` or `WriteUnknown`, it may be stored anyway.
An expected sequence turns a write into a compare-and-set; `WriteRefused` says that it lost, or that an
earlier try of it had won (the bus looks at the sequence before the id): read the record again.

`commit` writes a record and the events it causes as one atomic batch. It replaces the record's former
version by a rollup of the record's own subject; nothing else in Slipway may send that header, because one
wrong value of it empties the stream.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from faststream.nats import NatsBroker
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js.api import PubAck
from nats.js.errors import APIError, NotFoundError

from slipway.contracts.message import Event, Message, Query, State
from slipway.contracts.problems import TooLarge
from slipway.runtime.bus import headers as h
from slipway.runtime.bus.call import current
from slipway.runtime.bus.connection import needs_bus
from slipway.runtime.bus.pipeline import Pipeline
from slipway.runtime.errors import BusFull, BusUnavailable, WriteRefused, WriteUnknown
from slipway.runtime.process import metrics
from slipway.runtime.topology.declared import EVENTS, stream_of

WRONG_SEQUENCE = frozenset({10071, 10164})
"""The bus's codes for: another write was faster."""
DUPLICATE_IN_BATCH = 10201
"""The bus's code for: a message id of this batch is stored already."""

_STORE_FAILED = 10077
_NO_ROOM = frozenset({10002, 10023, 10047})
"""The bus's codes for: the account or the server has no room left."""

_TRIES = 3
_TIMEOUT = timedelta(seconds=3)

LastT = TypeVar("LastT", bound=Message)
Stored = tuple[Message, Mapping[str, str]]


class Publisher:
    """Writes to the streams of one connection, as one service."""

    def __init__(
        self, broker: NatsBroker, *, service: str, stored: Callable[[str, int | None], None]
    ) -> None:
        """Create the publisher.

        Args:
            broker: the connection.
            service: the source of the messages.
            stored: is called with the stream and the size of each message; None means that it is full.
        """
        self._broker = broker
        self._service = service
        self._stored = stored
        self._pipeline = Pipeline()

    async def publish(
        self,
        message: Message,
        *,
        message_id: str,
        fence: tuple[str, int] | None = None,
    ) -> int:
        """Store one message, once per message id, and return its stream sequence.

        Args:
            message: an event, a command or a state.
            message_id: identifies a repetition.
            fence: a subject and its last sequence, 0 for none; refuse the message if it has another one.
        """
        subject = message.subject_of()
        stream = stream_of(subject)
        if stream is None or isinstance(message, Query):
            raise TypeError(f"{type(message).__name__} is not stored: ask it")
        written = h.of_message(message, service=self._service, message_id=message_id)
        if fence is not None:
            written[h.EXPECTED_SUBJECT], written[h.EXPECTED_SEQUENCE] = fence[0], str(fence[1])
        payload = message.model_dump_json().encode()
        try:
            acknowledged = await self._store(subject, payload, written, stream)
        except BusFull:
            self._stored(stream, None)
            raise
        self._stored(stream, len(payload))
        metrics.published.labels(h.type_of(message)).inc()
        return acknowledged.seq

    async def publish_raw(
        self, subject: str, payload: bytes, headers: Mapping[str, str]
    ) -> asyncio.Future[int]:
        """Send a stored message, in the order of the calls; for the outbox.

        The future returns its sequence or raises the refusal.
        """
        if any(name.lower() == h.ROLLUP.lower() for name in headers):
            raise ValueError("only the run record's commit may roll up a subject")
        if stream_of(subject) is None or h.MESSAGE_ID not in headers:
            raise TypeError(f"{subject} is not stored, or the message has no id")
        return await self._pipeline.publish(self._connection, subject, payload, headers)

    async def commit(
        self,
        state: State,
        events: Sequence[Event],
        *,
        expected_sequence: int,
        commit_id: str,
        ttl: timedelta | None = None,
    ) -> int:
        """Store a run record and its events atomically; return the record's sequence.

        Only `slipway.provisioner.engine.records` may call this. `WriteRefused` and `WriteUnknown` both mean:
        read the record again and look for your commit id.
        """
        record = h.of_message(state, service=self._service, message_id=commit_id, ttl=ttl)
        record |= {h.EXPECTED_SEQUENCE: str(expected_sequence), h.ROLLUP: "sub"}
        facts = [
            (event, h.of_message(event, service=self._service, message_id=f"{commit_id}:{place}"))
            for place, event in enumerate(events, start=1)
        ]
        try:
            last = await self._send_batch([(state, record), *facts], batch=commit_id)
        except BusFull:
            self._stored(EVENTS, None)
            raise
        for message in (state, *events):
            metrics.published.labels(h.type_of(message)).inc()
        return last - len(events)

    async def last(self, kind: type[LastT], thing: str) -> tuple[LastT, int] | None:
        """Read a thing's last message of a kind and its sequence from the leader: no newer one exists."""
        subject = kind.subject.replace("{id}", thing)
        with needs_bus("The bus did not return a last message.", subject=subject):
            try:
                message = await self._connection.jetstream().get_msg(EVENTS, subject=subject)
            except NotFoundError:
                return None
        return kind.model_validate_json(message.data or b""), int(message.seq or 0)

    @property
    def _connection(self) -> Client:
        return self._broker.connection

    async def _store(self, subject: str, payload: bytes, written: Mapping[str, str], stream: str) -> PubAck:
        for tried in range(1, _TRIES + 1):
            try:
                return await self._broker.publish(
                    payload,
                    subject,
                    stream=stream,
                    headers=dict(written),
                    correlation_id=current().correlation_id,
                    timeout=_TIMEOUT.total_seconds(),
                )
            except MaxPayloadError as error:
                raise _too_large(subject, payload) from error
            except APIError as error:
                raise _refusal(error, subject) from error
            except (NatsError, TimeoutError, OSError) as error:
                if tried == _TRIES:
                    raise BusUnavailable(
                        "The bus did not confirm a message; it may be stored.", subject=subject
                    ) from error
        raise AssertionError("unreachable: the last try returns or raises")

    async def _send_batch(self, messages: Sequence[Stored], *, batch: str) -> int:
        try:
            for place, (message, written) in enumerate(messages[:-1], start=1):
                numbered = {**written, h.BATCH_ID: batch, h.BATCH_SEQUENCE: str(place)}
                payload = message.model_dump_json().encode()
                await self._connection.publish(message.subject_of(), payload, headers=numbered)
            message, written = messages[-1]
            closing = {h.BATCH_ID: batch, h.BATCH_SEQUENCE: str(len(messages)), h.BATCH_COMMIT: "1"}
            answer = await self._connection.request(
                message.subject_of(),
                message.model_dump_json().encode(),
                headers={**written, **closing},
                timeout=_TIMEOUT.total_seconds(),
            )
        except MaxPayloadError as error:
            raise _too_large(messages[0][0].subject_of(), b"") from error
        except (NatsError, TimeoutError, OSError) as error:
            raise WriteUnknown("The bus did not confirm a commit; it may be stored.", commit=batch) from error
        return _committed(json.loads(answer.data), batch)


def _committed(answer: dict[str, Any], batch: str) -> int:
    if "error" not in answer:
        return int(answer["seq"])
    code = answer["error"].get("err_code", 0)
    if code in WRONG_SEQUENCE or code == DUPLICATE_IN_BATCH:
        raise WriteRefused("The record was written by somebody else, or by this very commit.", commit=batch)
    description = str(answer["error"].get("description"))
    if is_full(code, description):
        raise BusFull(f"The bus is full, so a job's record can't be written: {description}", commit=batch)
    raise BusUnavailable(f"The bus refused a commit: {description}", commit=batch)


def _refusal(error: APIError, subject: str) -> WriteRefused | BusUnavailable:
    if error.err_code in WRONG_SEQUENCE:
        return WriteRefused("Another write was faster.", subject=subject)
    if is_full(error.err_code, error.description):
        return BusFull(f"The bus is full, so it refused a message: {error.description}", subject=subject)
    return BusUnavailable(f"The bus refused a message: {error.description}", subject=subject)


def is_full(code: int | None, description: str | None) -> bool:
    """Whether the bus refused something because it has no room for it."""
    return code in _NO_ROOM or (code == _STORE_FAILED and "maximum" in (description or ""))


def _too_large(subject: str, payload: bytes) -> TooLarge:
    return TooLarge("The message is larger than the bus allows.", subject=subject, size_bytes=len(payload))
