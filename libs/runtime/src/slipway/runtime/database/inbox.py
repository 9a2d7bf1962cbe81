"""Remembers which messages took effect, in the transaction of the effect itself.

A handler that can't otherwise tell a repetition asks here first. None has to today: inventory's handlers take
a record only with a higher sequence and an observation only if it is newer, and answers to repeated requests
are stored under their Idempotency-Key. The table stands in every schema so that a handler which needs it can
use it without a migration. Rows are stored longer than any message can be delivered again, and whoever begins
to write them has to call `forget`.
"""

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

LIFETIME = timedelta(days=100)
"""Longer than events are stored, so a message can't outlive the memory of it."""

_TAKE = text(
    "insert into inbox (consumer, message_id) values (:consumer, :message_id)"
    " on conflict do nothing returning message_id"
)
_FORGET = text("delete from inbox where taken_at < now() - cast(:lifetime as interval)")


async def first_time(connection: AsyncConnection, consumer: str, message_id: str) -> bool:
    """Note a message; whether it was unknown. A rollback forgets it again."""
    found = await connection.execute(_TAKE, {"consumer": consumer, "message_id": message_id})
    return found.first() is not None


async def forget(connection: AsyncConnection) -> int:
    """Delete what can't come again; tell how many."""
    return (await connection.execute(_FORGET, {"lifetime": LIFETIME})).rowcount
