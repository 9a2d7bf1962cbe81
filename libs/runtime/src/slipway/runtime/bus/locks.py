"""Leases: one holder at a time over all replicas, until it releases the lease or stops renewing it.

Theory of operation. A lease is one message in the bucket `locks`, written on the condition that there is
none, with a time to live. Before half of that time is over the holder renews it, on the condition that it
still holds it. When the holder dies, the message expires. Its first sequence is the fence: a later holder's
is higher.
Non-guarantee: between the end of a lease and the moment its holder notices, two may believe they hold it; to
exclude that, pass the fence to the writes.
"""

import asyncio
import json
from contextlib import suppress
from datetime import timedelta
from typing import Self

from nats.errors import Error as NatsError
from nats.js.errors import APIError

from slipway.runtime.bus import headers as h
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.publisher import WRONG_SEQUENCE
from slipway.runtime.errors import BusUnavailable, LeaseHeld
from slipway.runtime.process.ending import end
from slipway.runtime.process.ids import new_id
from slipway.runtime.process.logs import get_logger
from slipway.runtime.retry import Deadline
from slipway.runtime.topology.declared import LOCKS

log = get_logger()

RENEW_SHARE = 0.45
"""Of the time to live: when a lease is renewed."""
AGAIN_SHARE = 0.15
"""Of the time to live: when it is tried again after a failure."""


class Lease:
    """A lease on a key: `async with Lease(...) as lease:`; raises `LeaseHeld` at once if somebody has it."""

    def __init__(self, bus: Bus, key: str, ttl: timedelta) -> None:
        if ttl < timedelta(seconds=1):
            raise ValueError("the bus has no time to live under a second")
        self.lost = asyncio.Event()
        """Set when the lease is no longer ours; stop what it guards."""
        self.fence = 0
        """Higher for every later holder; 0 before it is held."""
        self._bus = bus
        self._key = key
        self._ttl = ttl
        self._sequence = 0
        self._holder = f"{bus.instance} {new_id()}".encode()
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Take the lease or raise `LeaseHeld`."""
        try:
            self._sequence = await self._write(expected=0)
        except APIError as error:
            if error.err_code in WRONG_SEQUENCE:
                raise LeaseHeld("Somebody else holds this lease.", key=self._key) from error
            raise BusUnavailable(f"The bus refused a lease: {error.description}", key=self._key) from error
        except (NatsError, OSError, TimeoutError) as error:
            raise BusUnavailable("The bus did not answer about a lease.", key=self._key) from error
        self.fence = self._sequence
        self._renewing = asyncio.create_task(self._renew(), name=f"lease {self._key}")
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Release the lease, so that the next holder need not wait."""
        if self._renewing is not None:
            await end(self._renewing)
        # A renewal that was sent to a frozen bus is stored when that goes on, though it was given up here.
        if not self.lost.is_set() or await self._is_ours_still():
            # If this fails the lease expires.
            with suppress(NatsError, OSError, TimeoutError):
                request = json.dumps({"seq": self._sequence, "no_erase": True}).encode()
                subject = f"$JS.API.STREAM.MSG.DELETE.KV_{LOCKS}"
                await self._bus.connection.request(subject, request, timeout=2)
        self.lost.set()

    async def _renew(self) -> None:
        ttl_seconds = self._ttl.total_seconds()
        deadline, share = Deadline(ttl_seconds), RENEW_SHARE
        while not deadline.has_passed:
            await asyncio.sleep(ttl_seconds * share)
            renewed, share = Deadline(ttl_seconds), AGAIN_SHARE
            try:
                self._sequence = await self._write(expected=self._sequence)
            except APIError as error:
                if not await self._is_ours_still():
                    log.warning("lease lost", key=self._key, error=error.description)
                    break
            except (NatsError, OSError, TimeoutError) as error:
                log.warning("lease not renewed", key=self._key, error=str(error))
            else:
                deadline, share = renewed, RENEW_SHARE
        self.lost.set()

    async def _is_ours_still(self) -> bool:
        """Whether our last write was stored although its answer got lost."""
        with suppress(NatsError, OSError, TimeoutError):
            stream, subject = f"KV_{LOCKS}", f"$KV.{LOCKS}.{self._key}"
            message = await self._bus.connection.jetstream(timeout=2).get_msg(stream, subject=subject)
            if message.data == self._holder:
                self._sequence = message.seq or 0
                return True
        return False

    async def _write(self, *, expected: int) -> int:
        acknowledged = await self._bus.connection.jetstream().publish(
            f"$KV.{LOCKS}.{self._key}",
            self._holder,
            headers={
                h.EXPECTED_SEQUENCE: str(expected),
                h.TTL: str(int(self._ttl.total_seconds())),
            },
            timeout=max(1.0, self._ttl.total_seconds() / 3),
        )
        return acknowledged.seq
