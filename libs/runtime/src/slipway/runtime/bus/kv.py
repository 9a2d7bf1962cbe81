"""Buckets of last values. Keys are subject tokens, values are bytes; a value has a revision and an age."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NotFoundError

from slipway.contracts.message import Moment
from slipway.runtime.bus import headers as h
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.connection import needs_bus
from slipway.runtime.bus.publisher import WRONG_SEQUENCE
from slipway.runtime.bus.stored import StoredMessage, read_all, read_page
from slipway.runtime.errors import BusUnavailable, WriteRefused
from slipway.runtime.process import clock

_OPERATION = "KV-Operation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A key's last value."""

    key: str
    value: bytes
    revision: int
    at: Moment


class Bucket:
    """One bucket; it exists by the topology."""

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus = bus
        self._stream = f"KV_{name}"
        self._prefix = f"$KV.{name}."

    async def put(self, key: str, value: bytes, *, expected_revision: int | None = None) -> int:
        """Set a key and return the new revision.

        Args:
            key: one or more tokens, `pve1.104`.
            value: the new value.
            expected_revision: refuse with `WriteRefused` unless this is the current one; 0 for none.
        """
        expected = {} if expected_revision is None else {h.EXPECTED_SEQUENCE: str(expected_revision)}
        return await self._write(key, value, expected)

    async def get(self, key: str) -> Entry | None:
        """Read a key."""
        page = await read_page(self._bus.connection, self._stream, subject=f"{self._prefix}{key}", most=1)
        return next(iter(self._entries(page.messages).values()), None)

    async def delete(self, key: str) -> None:
        """Delete a key's value."""
        await self._write(key, b"", {_OPERATION: "DEL"})

    async def entries(self, under: str = ">") -> dict[str, Entry]:
        """Read all keys that match, `pve1.*`."""
        messages = await read_all(self._bus.connection, self._stream, subject=f"{self._prefix}{under}")
        return self._entries(messages)

    async def watch(self, on_entry: Callable[[Entry], None]) -> Callable[[], Awaitable[None]]:
        """Pass on the value of each key, and every value written from now on; return a function that ends it.

        For values that are written again and again: a missed one is not repeated.
        """

        async def arrived(message: Msg) -> None:
            if (message.headers or {}).get(_OPERATION) is None:
                key = message.subject.removeprefix(self._prefix)
                on_entry(Entry(key=key, value=message.data, revision=0, at=clock.now()))

        with needs_bus("The bus refused to watch a bucket.", bucket=self._stream):
            listening = await self._bus.connection.subscribe(f"{self._prefix}*", cb=arrived)
        for entry in (await self.entries("*")).values():
            on_entry(entry)
        return listening.unsubscribe

    async def _write(self, key: str, value: bytes, headers: dict[str, Any]) -> int:
        try:
            acknowledged = await self._bus.connection.jetstream().publish(
                f"{self._prefix}{key}", value, headers=headers or None, timeout=3
            )
        except NotFoundError as error:
            raise BusUnavailable("The bus has no such bucket.", bucket=self._stream) from error
        except APIError as error:
            if error.err_code in WRONG_SEQUENCE:
                raise WriteRefused("Another write was faster.", key=key) from error
            raise BusUnavailable(f"The bus refused a value: {error.description}", key=key) from error
        except (NatsError, OSError, TimeoutError) as error:
            raise BusUnavailable("The bus did not confirm a value.", key=key) from error
        return acknowledged.seq

    def _entries(self, messages: Sequence[StoredMessage]) -> dict[str, Entry]:
        latest = {message.subject.removeprefix(self._prefix): message for message in messages}
        return {
            key: Entry(key=key, value=message.payload, revision=message.sequence, at=message.at)
            for key, message in latest.items()
            if message.headers.get(_OPERATION) is None
        }
