"""A real nats-server for each test (it starts in a few hundredths of a second), and buses on it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from slipway.runtime.bus.client import Bus
from slipway.runtime.process.settings import ServiceSettings
from slipway.runtime.topology import declared, reconcile
from slipway.standalone.embedded.nats import EmbeddedNats, NatsOptions
from support.folders import open_folder

MIB = 1024 * 1024
SMALL = declared.TopologySettings(
    ack_wait=timedelta(seconds=3),
    commands_max_bytes=16 * MIB,
    events_max_bytes=64 * MIB,
    dead_letters_max_bytes=8 * MIB,
    advisories_max_bytes=4 * MIB,
    live_max_bytes=8 * MIB,
    looks_max_bytes=4 * MIB,
    locks_max_bytes=1 * MIB,
    bundles_max_bytes=64 * MIB,
    integrators_max_bytes=16 * MIB,
)
"""A topology for tests: small limits, and work taken over after three seconds."""

MakeBus = Callable[..., Awaitable[Bus]]


def settings_of(url: str, **changes: Any) -> ServiceSettings:
    """Make a service's settings that keep no test waiting."""
    quick: dict[str, Any] = {"graceful_timeout": 5, "heartbeat": 1, "pull_timeout": 0.5, "nats_url": url}
    return ServiceSettings(**(quick | changes))


@contextmanager
def running_nats(folder: Path) -> Iterator[EmbeddedNats]:
    """Run a nats-server without any stream, which lets anyone in."""
    server = EmbeddedNats(folder, NatsOptions(max_file_store="512MB"))
    server.start()
    try:
        yield server
    finally:
        server.server.kill()


@asynccontextmanager
async def nats_connection(server: EmbeddedNats) -> AsyncIterator[Client]:
    """Open a raw connection."""
    connection = await nats.connect(server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    yield connection
    await connection.close()


@asynccontextmanager
async def started_buses(server: EmbeddedNats) -> AsyncIterator[MakeBus]:
    """Make started buses, drained at the end: a service name, and what to register before."""
    async with AsyncExitStack() as stack:

        async def make(service: str, register: Callable[[Bus], None] | None = None, **changes: Any) -> Bus:
            bus = Bus(settings_of(server.url, **changes), service=service)
            if register is not None:
                register(bus)
            await bus.start()
            stack.push_async_callback(bus.drain)
            return bus

        yield make


@pytest.fixture
def nats_folder() -> Iterator[Path]:
    """A folder for a nats-server's files."""
    with open_folder("nats", in_memory=True) as folder:
        yield folder


@pytest.fixture
def empty_nats(nats_folder: Path) -> Iterator[EmbeddedNats]:
    """A running nats-server without any stream, which lets anyone in."""
    with running_nats(nats_folder) as server:
        yield server


@pytest.fixture
async def admin(empty_nats: EmbeddedNats) -> AsyncIterator[Client]:
    """A raw connection."""
    async with nats_connection(empty_nats) as connection:
        yield connection


@pytest.fixture
async def nats_server(empty_nats: EmbeddedNats, admin: Client) -> EmbeddedNats:
    """A running nats-server with the topology."""
    await reconcile.apply(admin, SMALL)
    return empty_nats


@pytest.fixture
async def make_bus(nats_server: EmbeddedNats) -> AsyncIterator[MakeBus]:
    """A maker of started buses, drained after the test."""
    async with started_buses(nats_server) as make:
        yield make
