"""Carries over what an older build stored under names that have changed since.

A message is copied with its own id, so an interrupted copy can be repeated: the bus stores no id twice within
its duplicate window. The old stream is deleted only after all of it is stored under the new name.
"""

from dataclasses import dataclass

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from slipway.runtime.bus.stored import StoredMessage, read_page
from slipway.runtime.topology.declared import DEAD_LETTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """A stream under its former name."""

    stream: str
    subjects: str
    """The beginning of its subjects."""
    header: str
    """The beginning of its headers."""
    now: str
    subjects_now: str
    header_now: str


RENAMED = (
    Renamed(
        stream="PARKED",
        subjects="slipway.v1.parked.",
        header="Slipway-Parked-",
        now=DEAD_LETTERS,
        subjects_now="slipway.v1.dead-letter.",
        header_now="Slipway-Dead-Letter-",
    ),
)


async def carry_over(connection: Client) -> dict[str, int]:
    """Move what is left under former names; return how many messages each new stream got.

    Idempotent. The new streams exist already.
    """
    moved: dict[str, int] = {}
    bus = connection.jetstream()
    for each in RENAMED:
        try:
            await bus.stream_info(each.stream)
        except NotFoundError:
            continue
        moved[each.now] = await _copy(connection, each)
        await bus.delete_stream(each.stream)
    return moved


async def _copy(connection: Client, renamed: Renamed) -> int:
    bus, copied, after = connection.jetstream(), 0, 0
    while True:
        page = await read_page(
            connection, renamed.stream, subject=f"{renamed.subjects}>", from_sequence=after + 1
        )
        for message in page.messages:
            subject = renamed.subjects_now + message.subject.removeprefix(renamed.subjects)
            await bus.publish(
                subject, message.payload, stream=renamed.now, headers=_headers(message, renamed)
            )
            after, copied = message.sequence, copied + 1
        if not page.messages:
            return copied


def _headers(message: StoredMessage, renamed: Renamed) -> dict[str, str]:
    length = len(renamed.header)
    return {f"{renamed.header_now}At": message.at.isoformat()} | {
        f"{renamed.header_now}{name[length:]}" if name.startswith(renamed.header) else name: value
        for name, value in message.headers.items()
        if name.lower() == "nats-msg-id" or not name.lower().startswith("nats-")
    }
