"""A service as a real process: it starts without its neighbours, says what is missing, and stops cleanly."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.runtime.bus.client import Bus
from slipway.runtime.errors import DatabaseUnavailable
from slipway.runtime.process import service as service_module
from slipway.runtime.process.service import Service
from slipway.standalone.embedded.nats import EmbeddedNats
from slipway.standalone.embedded.ports import free_port
from support.clients import http_client
from support.messages import Echo
from support.nats import MakeBus, settings_of
from support.waiting import until

TESTS = Path(__file__).parents[2]

Start = Callable[..., Awaitable["Running"]]


class Running:
    """A service process and what it wrote."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask over HTTP; wait until somebody listens."""
        async with http_client() as client:
            for _ in range(200):
                try:
                    return await client.get(f"{self.url}{path}", headers=headers, timeout=10)
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
        raise AssertionError("nobody listens")

    async def ready(self) -> None:
        """Wait until it is ready."""

        async def is_ready() -> bool:
            return (await self.get("/readyz")).status_code == 200

        await until(is_ready, within_seconds=15)

    async def end(self) -> tuple[int, str]:
        """Wait for the end; its exit status and log."""
        async with asyncio.timeout(20):
            _, error = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, error.decode()


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """A starter of the tiny service."""
    async with AsyncExitStack() as stack:

        async def make(command: str = "serve", **settings: str) -> Running:
            port = free_port()
            defaults = {"SLIPWAY_HTTP_PORT": str(port), "SLIPWAY_PULL_TIMEOUT": "0.5"}
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "support.tiny_service", command),
                env={**os.environ, "PYTHONPATH": str(TESTS), **defaults, **settings},
                stdout=PIPE,
                stderr=PIPE,
            )

            async def kill() -> None:
                if process.returncode is None:
                    process.kill()
                    await process.communicate()

            stack.push_async_callback(kill)
            return Running(process, port)

        yield make


async def test_a_service_is_ready_answers_and_ends_with_status_0(
    start: Start, nats_server: EmbeddedNats, make_bus: MakeBus
) -> None:
    """SIGTERM while a query runs: it is answered, then the process ends in good order."""
    running = await start(SLIPWAY_NATS_URL=nats_server.url)
    await running.ready()
    gateway = await make_bus("gateway")
    asking = asyncio.create_task(gateway.ask(Echo(text="x")))
    await asyncio.sleep(0.1)

    running.process.send_signal(signal.SIGTERM)

    assert (await asking).text == "x"
    status, log = await running.end()
    assert status == 0
    assert '"event": "stopped"' in log


async def test_a_request_that_comes_too_early(start: Start, nats_server: EmbeddedNats) -> None:
    """What a service that is not ready can't know it does not guess: 503, and the answer once it is ready."""
    nats_server.stop()
    running = await start(SLIPWAY_NATS_URL=nats_server.url)

    early = await running.get("/")
    nats_server.start()
    await running.ready()

    assert (early.status_code, early.json()["code"]) == (503, "service.starting")
    async with http_client() as client, client.stream("GET", running.url) as answer:
        assert answer.status_code == 200


async def test_without_a_bus_it_lives_and_says_what_is_missing(
    start: Start, nats_server: EmbeddedNats
) -> None:
    """Liveness is not readiness; when the bus comes the service is ready without a restart."""
    nats_server.stop()
    running = await start(SLIPWAY_NATS_URL=nats_server.url)

    live, ready = await running.get("/livez"), await running.get("/readyz")

    assert live.status_code == 200
    assert ready.status_code == 503
    assert "bus" in ready.json()["missing"]
    nats_server.start()
    await running.ready()


async def test_it_can_be_stopped_before_it_was_ready(start: Start) -> None:
    """A service that waits for its bus still obeys."""
    running = await start(SLIPWAY_NATS_URL="nats://127.0.0.1:1")
    await running.get("/livez")

    running.process.send_signal(signal.SIGTERM)

    status, _ = await running.end()
    assert status == 0


async def test_it_can_be_stopped_while_the_bus_is_away(start: Start, nats_server: EmbeddedNats) -> None:
    """What waits to be sent fails the client's own close; the process ends in good order all the same."""
    running = await start(SLIPWAY_NATS_URL=nats_server.url)
    await running.ready()
    nats_server.stop()

    async def misses_the_bus() -> bool:
        # Each look asks the bus, and what it asks waits to be sent from then on.
        return "bus" in (await running.get("/readyz")).json()["missing"]

    await until(misses_the_bus)
    running.process.send_signal(signal.SIGTERM)

    status, log = await running.end()
    assert (status, "Traceback" in log) == (0, False), log
    assert log.count('"event": "bus not drained"') == 1
    assert log.count('"event": "stopped"') == 1


@pytest.mark.parametrize("graceful_seconds", ["1", "8"])
async def test_it_can_be_stopped_while_the_bus_is_frozen(
    start: Start, nats_server: EmbeddedNats, graceful_seconds: str
) -> None:
    """It waits for no answer longer than a moment, and one line says what it went without."""
    running = await start(SLIPWAY_NATS_URL=nats_server.url, SLIPWAY_GRACEFUL_TIMEOUT=graceful_seconds)
    await running.ready()
    os.kill(nats_server.server.pid, signal.SIGSTOP)

    try:
        running.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            status, log = await running.end()
    finally:
        os.kill(nats_server.server.pid, signal.SIGCONT)

    lines = [json.loads(line) for line in log.splitlines()]
    warnings = [(line["event"], line.get("reason")) for line in lines if line["level"] != "info"]
    assert (status, warnings) == (0, [("bus not drained", "The bus does not answer.")]), log


async def test_open_streams_end_when_the_service_stops(start: Start, nats_server: EmbeddedNats) -> None:
    """A browser's open stream does not hold the process: `stopping` ends it."""
    running = await start(SLIPWAY_NATS_URL=nats_server.url)
    await running.ready()

    async with http_client() as client, client.stream("GET", f"{running.url}/stream") as answer:
        pieces = answer.aiter_bytes()
        assert await anext(pieces) == b"open\n"
        running.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(anext(pieces), 2) == b"bye\n"

    status, _ = await running.end()
    assert status == 0


async def test_trap_13_a_connection_closed_for_good_ends_the_process(nats_server: EmbeddedNats) -> None:
    """Whatever closes the client, the supervisor gets a chance: exit status 1."""
    settings = settings_of(nats_server.url)
    service = Service("inventory", settings, Bus(settings, service="inventory"))
    serving = asyncio.create_task(service.serve())
    await asyncio.wait_for(service.ready.wait(), 5)

    await service.bus.connection.close()

    assert await asyncio.wait_for(serving, 10) == 1


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"SLIPWAY_LIMIT": "many"}, "slipway-inventory: SLIPWAY_LIMIT: Input should be a valid integer"),
        ({"SLIPWAY_LOG_LEVEL": "loud"}, "slipway-inventory: SLIPWAY_LOG_LEVEL: Input should be"),
        ({"SLIPWAY_CONFIG": "/nowhere"}, "slipway-inventory: SLIPWAY_CONFIG: there is no file /nowhere"),
    ],
)
async def test_a_wrong_setting_is_one_line_and_status_2(
    start: Start, settings: dict[str, str], line: str
) -> None:
    """Which variable, why; no traceback."""
    running = await start(**settings)

    status, log = await running.end()

    assert status == 2
    assert log.startswith(line)
    assert len(log.splitlines()) == 1


async def test_a_taken_port_is_one_line(start: Start, nats_server: EmbeddedNats) -> None:
    """The operator learns what to change."""
    port = nats_server.url.rpartition(":")[2]
    running = await start(SLIPWAY_NATS_URL=nats_server.url, SLIPWAY_HTTP_PORT=port)

    status, log = await running.end()

    assert status == 1
    assert "can't be listened on" in log
    assert "Traceback" not in log


async def test_check_reports_whether_anything_is_missing(start: Start, nats_server: EmbeddedNats) -> None:
    """`check` reaches everything once."""
    running = await start("check", SLIPWAY_NATS_URL=nats_server.url)

    status, log = await running.end()

    assert status == 0
    assert "no dependency missing" in log


async def test_migrate_runs_the_migration(start: Start) -> None:
    """`migrate` needs no bus."""
    running = await start("migrate")

    assert (await running.end())[0] == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"authorization": "Bearer wrong"}, 401), ({"authorization": "bearer s3cret"}, 200)],
)
async def test_metrics_want_their_token(
    start: Start, tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    """With a token set, nobody reads metrics without it."""
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    running = await start(SLIPWAY_METRICS_TOKEN_FILE=str(token))

    answer = await running.get("/metrics", **headers)

    assert answer.status_code == status


@pytest.mark.parametrize(("host", "status"), [("0.0.0.0", 403), ("127.0.0.1", 200)])  # noqa: S104 - that is the case
async def test_metrics_without_a_token_stay_on_this_machine(start: Start, host: str, status: int) -> None:
    """Who listens on all addresses must set a token."""
    running = await start(SLIPWAY_HTTP_HOST=host)

    answer = await running.get("/metrics")

    assert answer.status_code == status


async def test_what_waits_for_something_is_tried_again_soon(
    nats_server: EmbeddedNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it was away before: facts must not wait half a minute for a relay that sleeps."""
    monkeypatch.setattr(service_module, "LONGEST_SECONDS", 0.2)
    runs: list[int] = []

    async def work() -> None:
        runs.append(1)
        raise DatabaseUnavailable("The database did not answer.")

    settings = settings_of(nats_server.url)
    service = Service("inventory", settings, Bus(settings, service="inventory"))
    service.background("work", work)
    serving = asyncio.create_task(service.serve())

    await until(lambda: len(runs) == 12, within_seconds=8)

    service.stopping.set()
    assert await serving == 0


async def test_background_work_that_breaks_starts_again(nats_server: EmbeddedNats) -> None:
    """One error does not end it; readiness and the rest go on."""
    runs: list[int] = []

    async def work() -> None:
        runs.append(1)
        if len(runs) < 3:
            raise RuntimeError("bug")
        await asyncio.sleep(60)

    settings = settings_of(nats_server.url)
    service = Service("inventory", settings, Bus(settings, service="inventory"))
    service.background("work", work)
    order: list[Any] = []

    async def first() -> None:
        order.append("first")

    async def second() -> None:
        order.append("second")

    service.on_stop(first)
    service.on_stop(second)
    serving = asyncio.create_task(service.serve())

    await until(lambda: len(runs) == 3)
    service.stopping.set()

    assert await serving == 0
    assert order == ["second", "first"]


async def test_what_cannot_be_closed_keeps_nothing_else_open(nats_server: EmbeddedNats) -> None:
    """Whatever the close of a neighbour raises, the others are closed, and the status is 0."""
    closed: list[str] = []

    async def database() -> None:
        closed.append("database")

    async def host() -> None:
        raise ConnectionResetError("Connection lost")

    settings = settings_of(nats_server.url)
    service = Service("inventory", settings, Bus(settings, service="inventory"))
    service.on_stop(database)
    service.on_stop(host)
    serving = asyncio.create_task(service.serve())
    await asyncio.wait_for(service.ready.wait(), 5)

    service.stopping.set()

    assert await asyncio.wait_for(serving, 10) == 0
    assert closed == ["database"]
