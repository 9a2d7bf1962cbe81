"""Which part of Slipway is away, and since when: what readiness, event streams and the page say.

Theory of operation. Every second the gateway asks what it needs itself (bus, database) and how
the other services are, each with a deadline of its own: a part that is frozen is known within six seconds.
While the bus is away nothing is said of the others, since nobody can ask them. Viewers get an event `outage`
whenever it changes: all parts that are away, none once all are back. It has no id, so that a viewer resumes
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
OTHERS_SECONDS = PING_SECONDS + 1.5
"""A service that waits for a part of its own answers after as long as it waits itself, and says which."""
BUS = "bus"


@dataclass(frozen=True, slots=True)
class Outage:
    """A part that is away."""

    since: datetime
    message: str


class Outages:
    """Looks what is away, and tells whoever wants to know."""

    def __init__(self, bus: Bus, own: Mapping[str, Ping], tell: Callable[[bytes, bool], None]) -> None:
        """Take what the gateway needs itself, by name, and who is told: an event, and whether it lasts."""
        self._bus = bus
        self._own = own
        self._tell = tell
        self._away: dict[str, Outage] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once at every part."""
        own = {name: _asked(ping()) for name, ping in self._own.items()}
        others = {name: _asked(self._health(kind()), OTHERS_SECONDS) for name, kind in HEALTH_OF.items()}
        names = [*own, *others]
        answers = await asyncio.gather(*own.values(), *others.values())
        found = {name: why for name, why in zip(names, answers, strict=True) if why is not None}
        if BUS in found:
            found = {name: why for name, why in found.items() if name in own}
        self._take(found)

    def shortages(self) -> Mapping[str, str]:
        """Say which other services are away: what readiness does not know by itself."""
        return {
            name: f"{each.message} (since {each.since:%H:%M:%S} UTC)"
            for name, each in self._away.items()
            if name not in self._own
        }

    async def _health(self, query: Query[Health]) -> str | None:
        missing = (await self._bus.ask(query)).missing
        return "; ".join(f"{name}: {why}" for name, why in missing.items()) or None

    def _take(self, found: Mapping[str, str]) -> None:
        at, before = now(), self._away
        self._away = {
            name: Outage(before[name].since if name in before else at, why) for name, why in found.items()
        }
        for name in self._away.keys() - before.keys():
            log.warning("part is away", part=name, why=found[name])
        for name in before.keys() - self._away.keys():
            log.info("part is back", part=name)
        if self._away.keys() != before.keys():
            self._tell(self._event(), bool(self._away))

    def _event(self) -> bytes:
        """Give the event that tells what is away now."""
        parts = {
            name: {"since": each.since.isoformat(), "message": each.message}
            for name, each in sorted(self._away.items())
        }
        return b"event: outage\ndata: %b\n\n" % json.dumps({"parts": parts}).encode()


async def _asked(asking: Awaitable[object], seconds: float = PING_SECONDS) -> str | None:
    """Why a part can't do its work: it says so itself, or does not answer in time; None if it can."""
    try:
        async with asyncio.timeout(seconds):
            said = await asking
    except TimeoutError:
        return "It does not answer in time."
    except Exception as error:  # noqa: BLE001 - it may fail in any way; its failure is the answer
        return problem_of(error).message
    return said if isinstance(said, str) else None
