"""A stream as a file, and a file as a stream again: the server's own snapshots (NATS ADR 40).

A snapshot holds messages with their sequences, times and headers, so that fences and `Last-Event-ID` go on
where they stood. It holds no consumers: where each goes on is for whoever restores it to decide. The server
stores while it sends; a snapshot is the stream as of one moment.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from slipway.contracts.problems import Failed
from slipway.runtime.bus.connection import needs_bus
from slipway.runtime.errors import BusUnavailable

CHUNK_BYTES = 128 * 1024
WAIT_SECONDS = 60.0
"""How long the server may take for the next chunk, or to take one."""
_STARTED_SECONDS = 30.0


class StreamRefused(Failed):
    """The server has no snapshot of a stream, or does not take one."""

    code = "bus.snapshot-refused"


@asynccontextmanager
async def read_snapshot(
    connection: Client, stream: str
) -> AsyncIterator[tuple[dict[str, Any], AsyncIterator[bytes]]]:
    """Begin a snapshot: return what restores need beside it (`config`, `state`), and its chunks.

    Raises:
        StreamRefused: if there is no such stream, or its files are damaged.
        BusUnavailable: if the server stops sending.
    """
    chunks: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = connection.new_inbox()
    listening = await connection.subscribe(inbox, cb=chunks.put)
    try:
        order = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": CHUNK_BYTES, "jsck": True}
        answer = await _ask(connection, f"$JS.API.STREAM.SNAPSHOT.{stream}", order)
        yield {"config": answer["config"], "state": answer["state"]}, _chunks(chunks, stream)
    finally:
        await listening.unsubscribe()


async def write_snapshot(
    connection: Client,
    stream: str,
    described: dict[str, Any],
    chunks: Iterable[bytes],
    on_sent: Callable[[int], None] = lambda _bytes: None,
) -> int:
    """Make a stream of a snapshot; return how many messages it has.

    Raises:
        StreamRefused: if the stream exists, or the snapshot is damaged.
    """
    opened = await _ask(connection, f"$JS.API.STREAM.RESTORE.{stream}", described)
    subject = opened["deliver_subject"]
    with needs_bus("The bus did not take a stream.", stream=stream):
        for chunk in chunks:
            _refuse(await connection.request(subject, chunk, timeout=WAIT_SECONDS), stream)
            on_sent(len(chunk))
        end = await connection.request(subject, b"", timeout=WAIT_SECONDS)
    answer = _refuse(end, stream)
    return int(answer["state"]["messages"])


async def _chunks(arrived: "asyncio.Queue[Msg]", stream: str) -> AsyncIterator[bytes]:
    while True:
        try:
            message = await asyncio.wait_for(arrived.get(), WAIT_SECONDS)
        except TimeoutError as error:
            raise BusUnavailable("The bus stopped sending a stream.", stream=stream) from error
        if not message.data:
            status = (message.headers or {}).get("Status", "204")
            if status != "204":
                raise BusUnavailable(f"The bus broke off a stream: status {status}.", stream=stream)
            return
        if message.reply:
            # The server sends on when it hears that a chunk has arrived.
            await message.respond(b"")
        yield message.data


async def _ask(connection: Client, subject: str, request: dict[str, Any]) -> dict[str, Any]:
    with needs_bus("The bus did not answer about a stream.", subject=subject):
        answer = await connection.request(subject, json.dumps(request).encode(), timeout=_STARTED_SECONDS)
    return _refuse(answer, subject)


def _refuse(message: Msg, what: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(message.data) if message.data else {}
    if error := answer.get("error"):
        raise StreamRefused(f"The bus refuses the stream {what}: {error.get('description')}.")
    return answer
