"""Carry over the dead letters that an older build stored, under the names that it used.

A message is copied with its own id, so an interrupted copy can be repeated: the bus stores no id twice within
its duplicate window. The old stream is deleted only after all of it is stored under the new name.
"""

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from slipway.runtime.bus.stored import StoredMessage, read_all
from slipway.runtime.topology.declared import DEAD_LETTERS

_OLD_STREAM = "PARKED"
_OLD_SUBJECTS, _SUBJECTS = "slipway.v1.parked.", "slipway.v1.dead-letter."
_OLD_HEADERS, _HEADERS = "Slipway-Parked-", "Slipway-Dead-Letter-"


async def carry_over(connection: Client) -> int:
    """Move what is left under the former name; return the number of messages.

    Idempotent. The new stream exists already.
    """
    bus = connection.jetstream()
    try:
        await bus.stream_info(_OLD_STREAM)
    except NotFoundError:
        return 0
    messages = await read_all(connection, _OLD_STREAM, subject=f"{_OLD_SUBJECTS}>")
    for message in messages:
        subject = _SUBJECTS + message.subject.removeprefix(_OLD_SUBJECTS)
        await bus.publish(subject, message.payload, stream=DEAD_LETTERS, headers=_headers_of(message))
    await bus.delete_stream(_OLD_STREAM)
    return len(messages)


def _headers_of(message: StoredMessage) -> dict[str, str]:
    length = len(_OLD_HEADERS)
    return {f"{_HEADERS}At": message.at.isoformat()} | {
        f"{_HEADERS}{name[length:]}" if name.startswith(_OLD_HEADERS) else name: value
        for name, value in message.headers.items()
        if name.lower() == "nats-msg-id" or not name.lower().startswith("nats-")
    }
