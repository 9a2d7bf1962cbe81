"""Which part of Slipway is away, and since when: for readiness, event streams and the page.

Theory of operation. Every second the gateway checks its own parts (bus, database) and asks the other services
for their health, each with a deadline of its own: a part that is frozen is known within six seconds. While
nobody watches and nothing is away it does so when readiness is asked for, and for the log once a minute; the
first who watches has it look at once. While the bus is away nothing is reported of the others, since they
can't be asked. Viewers get an event `outage` with each change: all parts that are away, none once all are
back. It has no id, so that a viewer resumes where it was.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from slipway.contracts.health import HEALTH_OF, GetInventoryHealth, Health
from slipway.contracts.message import Query
from slipway.runtime.bus.client import Bus
from slipway.runtime.errors import problem_of
from slipway.runtime.process.clock import now
from slipway.runtime.process.health import PING_SECONDS, Ping
from slipway.runtime.process.logs import get_logger
from slipway.runtime.retry import Deadline

log = get_logger()

LOOK_SECONDS = 1.0
UNWATCHED_SECONDS = 60.0
FRESH_SECONDS = 2.0
"""How old a look may be that readiness is answered from."""
ASKER_WAITS_SECONDS = 2.5
"""How long an answer about readiness waits for a look, less than `PING_SECONDS`; the next one has it."""
OTHERS_SECONDS = PING_SECONDS + 1.5
"""A service that waits for a part of its own answers after as long as it waits itself, and says which."""
BUS = "bus"
PAUSED = "installation.paused"
"""Under which inventory says that Slipway changes nothing now."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A part that is away."""

    since: datetime
    message: str


class Outages:
    """Checks which parts are away, and publishes each change."""

    def __init__(
        self,
        bus: Bus,
        own: Mapping[str, Ping],
        publish: Callable[[bytes, bool], None],
        *,
        watched: asyncio.Event,
    ) -> None:
        """Prepare.

        Args:
            bus: the others are asked over it.
            own: the gateway's own parts by name.
            publish: of an event, and whether it lasts.
            watched: set while somebody watches.
        """
        self._bus = bus
        self._watched = watched
        self._own = own
        self._publish = publish
        self._away: dict[str, Outage] = {}
        self._pause: str | None = None
        """Why the installation is paused, as inventory says."""
        self._looking: asyncio.Task[None] | None = None
        self._has_begun = False
        self._fresh = Deadline(-1.0)

    async def run(self) -> None:
        """Check until cancelled."""
        self._has_begun = True
        while True:
            await self.look()
            if self._away or self._watched.is_set():
                await asyncio.sleep(LOOK_SECONDS)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._watched.wait(), UNWATCHED_SECONDS)

    async def refresh(self) -> None:
        """Check unless that was done just now; return when it is done, or after `ASKER_WAITS_SECONDS`."""
        if self._has_begun and self._fresh.has_passed:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self.look(), name="look at the parts")
            await asyncio.wait([self._looking], timeout=ASKER_WAITS_SECONDS)

    async def look(self) -> None:
        """Check every part once."""
        own = {name: _asked(ping()) for name, ping in self._own.items()}
        others = {name: _asked(self._health(kind()), OTHERS_SECONDS) for name, kind in HEALTH_OF.items()}
        names = [*own, *others]
        answers = await asyncio.gather(*own.values(), *others.values())
        reasons = {name: why for name, why in zip(names, answers, strict=True) if why is not None}
        if BUS in reasons:
            reasons = {name: why for name, why in reasons.items() if name in own}
        self._take(reasons)
        self._fresh = Deadline(FRESH_SECONDS)

    def shortages(self) -> Mapping[str, str]:
        """Return the other services that are away, which readiness does not check itself, and a pause."""
        away = {
            name: f"{each.message} (since {each.since:%H:%M:%S} UTC)"
            for name, each in self._away.items()
            if name not in self._own
        }
        return away if self._pause is None else {**away, PAUSED: self._pause}

    async def _health(self, query: Query[Health]) -> str | None:
        health = await self._bus.ask(query)
        if isinstance(query, GetInventoryHealth):
            self._pause = health.degraded.get(PAUSED)
        return "; ".join(f"{name}: {why}" for name, why in health.missing.items()) or None

    def _take(self, reasons: Mapping[str, str]) -> None:
        at, before = now(), self._away
        self._away = {
            name: Outage(before[name].since if name in before else at, why) for name, why in reasons.items()
        }
        for name in self._away.keys() - before.keys():
            log.warning("part is away", part=name, why=reasons[name])
        for name in before.keys() - self._away.keys():
            log.info("part is back", part=name)
        if self._away.keys() != before.keys():
            self._publish(self._event(), bool(self._away))

    def _event(self) -> bytes:
        """Return the event with the parts that are away now."""
        parts = {
            name: {"since": each.since.isoformat(), "message": each.message}
            for name, each in sorted(self._away.items())
        }
        return b"event: outage\ndata: %b\n\n" % json.dumps({"parts": parts}).encode()


async def _asked(asking: Awaitable[object], seconds: float = PING_SECONDS) -> str | None:
    """Return why a part can't do its work: its own reason, or that it does not answer; None if it can."""
    try:
        async with asyncio.timeout(seconds):
            answer = await asking
    except TimeoutError:
        return "It does not answer in time."
    except Exception as error:  # noqa: BLE001 - it may fail in any way; its failure is the answer
        return problem_of(error).message
    return answer if isinstance(answer, str) else None
