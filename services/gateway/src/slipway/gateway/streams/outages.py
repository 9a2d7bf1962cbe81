"""Which part of Slipway is away, and since when: for readiness, event streams and the page.

Theory of operation. Every second the gateway checks its own parts (bus, database) and asks the other services
for their health, each with a deadline of its own: a part that is frozen is known within six seconds. While
nobody watches and nothing is away it does so every five seconds, so that a part is known within ten. While
the bus is away nothing is reported of the others, since they can't be asked. Viewers get an event `outage`
with each change: all parts that are away, none once all are back. It has no id, so that a viewer resumes
where it was.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from slipway.contracts.health import HEALTH_OF, Health
from slipway.contracts.message import Query
from slipway.runtime.bus.client import Bus
from slipway.runtime.errors import problem_of
from slipway.runtime.process.clock import now
from slipway.runtime.process.health import PING_SECONDS, Ping
from slipway.runtime.process.logs import get_logger

log = get_logger()

LOOK_SECONDS = 1.0
UNWATCHED_SECONDS = 5.0
OTHERS_SECONDS = PING_SECONDS + 1.5
"""A service that waits for a part of its own answers after as long as it waits itself, and says which."""
BUS = "bus"


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
        is_watched: Callable[[], bool],
    ) -> None:
        """Set up with the gateway's own parts by name, and `publish`: of an event, and whether it lasts."""
        self._bus = bus
        self._is_watched = is_watched
        self._own = own
        self._publish = publish
        self._away: dict[str, Outage] = {}

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS if self._away or self._is_watched() else UNWATCHED_SECONDS)

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

    def shortages(self) -> Mapping[str, str]:
        """Return the other services that are away, which readiness does not check itself."""
        return {
            name: f"{each.message} (since {each.since:%H:%M:%S} UTC)"
            for name, each in self._away.items()
            if name not in self._own
        }

    async def _health(self, query: Query[Health]) -> str | None:
        missing = (await self._bus.ask(query)).missing
        return "; ".join(f"{name}: {why}" for name, why in missing.items()) or None

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
