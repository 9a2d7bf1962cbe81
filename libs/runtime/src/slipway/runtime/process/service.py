"""One service as a process: start, be ready, stop without losing anything.

Start. HTTP first, so that `/readyz` can say what is missing; then what `on_start` asks for, the bus, and the
background work. Nothing fails because PostgreSQL or the bus is not there yet: it is waited for.

Stop, on SIGTERM or SIGINT. `stopping` is set (open streams end themselves), HTTP drains, background work is
cancelled, the bus drains (queries answered, work finished or handed over), `on_stop` closes the rest. The
exit status is 0, or 1 when the bus closed for good.
"""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable

from slipway.contracts.health import HEALTH_OF, Health
from slipway.contracts.message import Query
from slipway.contracts.problems import Unavailable
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus
from slipway.runtime.process import metrics
from slipway.runtime.process.ending import end
from slipway.runtime.process.health import Asgi, HealthApp, HealthServer, Https, Ping, Shortages, WhenReady
from slipway.runtime.process.logs import get_logger
from slipway.runtime.process.settings import ServiceSettings
from slipway.runtime.retry import FIRST_SECONDS, LONGEST_SECONDS, Backoff, Deadline, retry_until_available

log = get_logger()

Work = Callable[[], Awaitable[None]]

LONGEST_DELAY_SECONDS = 30.0
"""The longest pause after a crash."""
STEADY_SECONDS = 60.0
"""Background work that ran this long starts its back-off anew."""
CLOSE_SECONDS = 3.0
"""How long each action of `on_stop` may take: a frozen database never says goodbye."""
GARBAGE_THRESHOLDS = (20_000, 20, 10)
"""When garbage is looked for; by Python's own (700, 10, 10) it took half the time of a list."""


class Service:
    """A service that `app.py` assembles and `run` runs."""

    def __init__(self, name: str, settings: ServiceSettings, bus: Bus) -> None:
        self.name = name
        self.settings = settings
        self.bus = bus
        self.app: Asgi | None = None
        """The service's own HTTP pages, behind health and metrics; set it any time before `run`."""
        self.around: Callable[[Asgi], Asgi] | None = None
        """What goes around all pages, health and metrics too; set it any time before `run`."""
        self._https: Https | None = None
        self.stopping = asyncio.Event()
        """Set first when the service stops."""
        self.ready = asyncio.Event()
        self.pings: dict[str, Ping] = {"bus": bus.ping}
        self._own_pings: dict[str, Ping] = {}
        self._shortages: list[Shortages] = [bus.shortages]
        self.port = 0
        """Where HTTP is served, once it is."""
        self.https_port: int | None = None
        self._background: dict[str, Work] = {"bus": bus.watch}
        self._on_start: list[Work] = []
        self._on_stop: list[Work] = []
        self._health: HealthApp | None = None
        if name in HEALTH_OF:
            bus.answer(HEALTH_OF[name], self._health_status)

    def ping(self, name: str, check: Ping) -> None:
        """Make readiness depend on a check that raises when it fails."""
        self.pings[name] = check

    def ping_own_work(self, name: str, check: Ping) -> None:
        """Make readiness depend on the service's own background work; the command `check` skips it."""
        self._own_pings[name] = check

    def report_shortages(self, shortages: Shortages) -> None:
        """Add a source of shortages to readiness; the service stays ready."""
        self._shortages.append(shortages)

    def shortages(self) -> dict[str, str]:
        """Return all shortages."""
        return {name: reason for source in self._shortages for name, reason in source().items()}

    def background(self, name: str, work: Work) -> None:
        """Run work all the time; after an error it starts again, with a growing pause."""
        self._background[name] = work

    def on_start(self, act: Work) -> None:
        """Run an action before the bus starts; `Unavailable` is tried again."""
        self._on_start.append(act)

    def on_stop(self, act: Work) -> None:
        """Run an action after the bus has drained; the last added runs first."""
        self._on_stop.append(act)

    async def serve(self) -> int:
        """Run until it is stopped; return the exit status."""
        behind = WhenReady(self.app, self.ready) if self.app is not None else None
        pings = self.pings | self._own_pings
        health = self._health = HealthApp(
            self.settings, pings, behind=behind, shortages=self.shortages, is_public=self._https is not None
        )
        servers = await self._listen(self.around(health) if self.around is not None else health)
        starting = asyncio.create_task(self._start(), name="start")
        lost = asyncio.create_task(self.bus.closed.wait(), name="bus closed")
        stop = asyncio.create_task(self.stopping.wait(), name="stop")
        broken = await _first_of(starting, lost, stop)
        running = starting.result() if starting.done() and not broken else []
        if not broken and not stop.done():
            await asyncio.wait([lost, stop], return_when=asyncio.FIRST_COMPLETED)
        health.stopping = True
        self.stopping.set()
        log.info("stopping", bus_lost=lost.done())
        await self._stop(servers, [starting, *running])
        failed = broken or lost.done()
        await end(lost, stop)
        return 1 if failed else 0

    def serve_https(self, https: Https) -> None:
        """Serve all pages with TLS as well, and load the certificate anew whenever it changes."""
        self._https = https
        self.report_shortages(https.files.shortages)
        self.background("certificate", https.files.watch)

    async def _health_status(self, _query: Query[Health], _call: Call) -> Health:
        return await self._health.health() if self._health is not None else Health()

    async def _start(self) -> list[asyncio.Task[None]]:
        for act in self._on_start:
            await retry_until_available(act, event="start delayed")
        await self.bus.start()
        running = [
            asyncio.create_task(_supervised(name, work), name=name) for name, work in self._background.items()
        ]
        # What a start leaves stays for good: every full collection would look through all of it.
        gc.freeze()
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        self.ready.set()
        log.info("service ready", instance=self.settings.instance, port=self.port)
        return running

    async def _listen(self, app: Asgi) -> list[HealthServer]:
        plain = HealthServer(app, self.settings)
        await plain.start()
        self.port = plain.port
        if self._https is None:
            return [plain]
        secure = HealthServer(app, self.settings, https=self._https)
        await secure.start()
        self.https_port = secure.port
        return [plain, secure]

    async def _stop(self, servers: list[HealthServer], running: "list[asyncio.Task[object]]") -> None:
        await asyncio.gather(*(server.stop() for server in servers))
        await end(*running)
        await _close(self.bus.drain)
        for act in reversed(self._on_stop):
            await _close(act, within_seconds=CLOSE_SECONDS)
        log.info("stopped")


async def _close(act: Work, *, within_seconds: float | None = None) -> None:
    """Close something; what can't be closed is reported, and keeps nothing else from being closed."""
    try:
        async with asyncio.timeout(within_seconds):
            await act()
    except Exception as error:  # noqa: BLE001 - the process ends, whatever is wrong with its neighbours
        what = getattr(act, "__qualname__", repr(act))
        log.warning("not closed in good order", what=what, error=str(error) or type(error).__name__)


async def _supervised(name: str, work: Work) -> None:
    backoff = Backoff(first_seconds=FIRST_SECONDS, longest_seconds=LONGEST_DELAY_SECONDS)
    while True:
        steady, longest = Deadline(STEADY_SECONDS), LONGEST_DELAY_SECONDS
        try:
            await work()
        except Unavailable as error:
            longest = LONGEST_SECONDS
            log.warning("background work delayed", name=name, code=error.code, reason=error.message)
        except Exception:
            log.exception("background work crashed", name=name)
        else:
            return
        metrics.background_restarts.labels(name).inc()
        if steady.has_passed:
            backoff.reset()
        await backoff.wait(longest_seconds=longest)


async def _first_of(starting: "asyncio.Task[object]", *others: "asyncio.Task[bool]") -> bool:
    """Wait until started, lost or stopped; return whether the start failed."""
    await asyncio.wait([starting, *others], return_when=asyncio.FIRST_COMPLETED)
    if starting.done() and starting.exception() is not None:
        log.critical("start broke", exc_info=starting.exception())
        return True
    return False


async def run(service: Service) -> int:
    """Run a service until SIGTERM or SIGINT; return the exit status."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stopping.set)
    return await service.serve()
