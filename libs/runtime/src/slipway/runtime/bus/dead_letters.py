"""Dead letters: the bus's client writes them, here they are read and removed.

A dead letter has everything that is needed to handle the message again: its body, its CloudEvents and call
headers, and its origin. The stream's sequence is its id.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg

from slipway.contracts.dead_letters import DeadLetter
from slipway.contracts.problems import NotFound, Problem
from slipway.runtime.bus import headers as h
from slipway.runtime.bus.connection import needs_bus
from slipway.runtime.bus.consumer import Delivery
from slipway.runtime.bus.stored import StoredMessage, read_page
from slipway.runtime.secrets.redaction import clean
from slipway.runtime.topology.declared import DEAD_LETTERS

ORIGIN = "Slipway-Dead-Letter-"
SUBJECT = "slipway.v1.dead-letter.>"
_STORED = ("ce-", "slipway-", "traceparent", "content-type")
"""Headers of a message that stay with its dead letter; the bus would apply its own ones again."""


class DeadLetterNotFound(NotFound):
    """There is no such dead letter; it was handled again, dropped, or is too old."""

    code = "dead-letter.not-found"


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """One dead letter with its content."""

    summary: DeadLetter
    payload: bytes
    headers: Mapping[str, str]
    """The headers of the message."""


def dead_letter_headers(raw: Msg, delivery: Delivery, durable: str, problem: Problem) -> dict[str, str]:
    """Return the headers of a dead letter: its origin and the problem."""
    stored = {name: value for name, value in (raw.headers or {}).items() if name.lower().startswith(_STORED)}
    stream = raw.metadata.stream
    return {
        **stored,
        h.MESSAGE_ID: f"{durable}:{stream}:{delivery.stream_sequence}",
        f"{ORIGIN}Subject": delivery.subject,
        f"{ORIGIN}Stream": stream,
        f"{ORIGIN}Sequence": str(delivery.stream_sequence),
        f"{ORIGIN}Message-Id": delivery.message_id,
        f"{ORIGIN}Attempts": str(delivery.attempts),
        f"{ORIGIN}Problem": problem.model_dump_json(),
    }


async def dead_letter_page(
    connection: Client, *, after: int, most: int
) -> tuple[tuple[DeadLetter, ...], int]:
    """Return some dead letters after an id, oldest first, and how many more there are."""
    page = await read_page(connection, DEAD_LETTERS, subject=SUBJECT, from_sequence=after + 1, most=most)
    return tuple(_dead_letter(each).summary for each in page.messages), page.remaining


async def dead_letter(connection: Client, message: int) -> StoredDeadLetter:
    """Return one with its content.

    Raises:
        DeadLetterNotFound: if there is none of that id.
    """
    page = await read_page(connection, DEAD_LETTERS, subject=SUBJECT, from_sequence=message, most=1)
    if not page.messages or page.messages[0].sequence != message:
        raise DeadLetterNotFound(f"There is no dead letter {message}; it was handled again or dropped.")
    return _dead_letter(page.messages[0])


async def drop_dead_letter(connection: Client, message: int) -> None:
    """Remove one from the stream."""
    with needs_bus("The bus did not remove a dead letter."):
        await connection.jetstream().delete_msg(DEAD_LETTERS, message)


def whole(letter: StoredDeadLetter) -> DeadLetter:
    """Return one for people: with headers and body, known secrets masked."""
    body = str(clean(letter.payload.decode(errors="replace")))
    headers = {name: str(clean(value)) for name, value in letter.headers.items()}
    return letter.summary.model_copy(update={"headers": headers, "body": body})


def _dead_letter(message: StoredMessage) -> StoredDeadLetter:
    _, _, _, service, short = message.subject.split(".", 4)
    origin = {
        name.removeprefix(ORIGIN).lower().replace("-", "_"): value
        for name, value in message.headers.items()
        if name.startswith(ORIGIN)
    }
    content = {
        "at": message.at,
        **origin,
        "id": message.sequence,
        "service": service,
        "consumer": f"{service}-{short}",
        "problem": Problem.model_validate_json(origin["problem"]),
        "size": len(message.payload),
    }
    return StoredDeadLetter(
        summary=DeadLetter.model_validate(content),
        payload=message.payload,
        headers={name: value for name, value in message.headers.items() if not name.startswith(ORIGIN)},
    )
