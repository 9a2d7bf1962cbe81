"""Read stored messages in pages, without a consumer: batched direct get.

A page is cheap (one request, any number of answers) and leaves nothing on the server. It is not a
subscription: messages stored after the request are not in it. Any replica answers, also one that lags: a page
may end too early, never with a gap. The leader knows whether it did (`read_next`).
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from slipway.contracts.message import Moment
from slipway.runtime.bus.connection import needs_bus
from slipway.runtime.errors import BusUnavailable

PAGE_MESSAGES = 256
PAGE_SECONDS = 5.0

_END_OF_BATCH = "204"
_NOT_FOUND = "404"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """One message as the stream holds it."""

    sequence: int
    subject: str
    at: Moment
    payload: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some messages in the order of the stream, and how many more match."""

    messages: tuple[StoredMessage, ...]
    remaining: int


async def read_page(
    connection: Client,
    stream: str,
    *,
    subject: str,
    from_sequence: int = 1,
    most: int = PAGE_MESSAGES,
    most_bytes: int | None = None,
) -> Page:
    """Read the next messages that match a subject, from a sequence on."""
    request: dict[str, object] = {"seq": from_sequence, "batch": most, "next_by_subj": subject}
    if most_bytes is not None:
        request["max_bytes"] = most_bytes
    with needs_bus("The bus did not read a page of a stream.", stream=stream):
        messages, status = await _request(connection, stream, json.dumps(request).encode())
    if status.get("Status") not in (_END_OF_BATCH, _NOT_FOUND):
        raise BusUnavailable(f"The bus refused to read a stream: {status.get('Status')}", stream=stream)
    return Page(messages=tuple(messages), remaining=int(status.get("Nats-Num-Pending") or 0))


async def read_next(
    connection: Client, stream: str, *, subject: str, from_sequence: int
) -> StoredMessage | None:
    """Read the next message that matches a subject from the leader, which has everything that is stored."""
    get = connection.jetstream().get_msg
    with needs_bus("The bus did not read the next message of a stream.", stream=stream):
        try:
            message = await get(stream, seq=from_sequence, subject=subject, next=True)
        except NotFoundError:
            return None
    headers = message.headers or {}
    return StoredMessage(
        sequence=int(message.seq or 0),
        subject=message.subject or "",
        at=message.time or datetime.now(UTC),
        payload=message.data or b"",
        headers={name: value for name, value in headers.items() if not name.startswith("Nats-")},
    )


async def _request(
    connection: Client, stream: str, request: bytes
) -> tuple[list[StoredMessage], Mapping[str, str]]:
    """Collect the answers to one request, and the status that ends them."""
    messages: list[StoredMessage] = []
    ended: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()

    async def take(message: Msg) -> None:
        headers = message.headers or {}
        if "Status" not in headers and headers.get("Nats-Sequence"):
            messages.append(_stored(message, headers))
        elif not ended.done():
            ended.set_result(headers)

    inbox = connection.new_inbox()
    listening = await connection.subscribe(inbox, cb=take)
    try:
        await connection.publish(f"$JS.API.DIRECT.GET.{stream}", request, reply=inbox)
        return messages, await asyncio.wait_for(ended, PAGE_SECONDS)
    finally:
        await listening.unsubscribe()


async def read_all(
    connection: Client, stream: str, *, subject: str, page: int = PAGE_MESSAGES
) -> list[StoredMessage]:
    """Read every message that matches a subject, so many with each request."""
    messages: list[StoredMessage] = []
    from_sequence = 1
    while True:
        part = await read_page(connection, stream, subject=subject, from_sequence=from_sequence, most=page)
        messages += part.messages
        if part.remaining == 0 or not part.messages:
            return messages
        from_sequence = part.messages[-1].sequence + 1


def _stored(message: Msg, headers: Mapping[str, str]) -> StoredMessage:
    return StoredMessage(
        sequence=int(headers["Nats-Sequence"]),
        subject=headers["Nats-Subject"],
        at=datetime.fromisoformat(headers["Nats-Time-Stamp"]),
        payload=message.data,
        headers={name: value for name, value in headers.items() if not name.startswith("Nats-")},
    )
