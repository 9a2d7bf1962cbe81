"""Embedded servers under `up`: slow starts are waited for, hopeless ones are not, and the loop stays free."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from slipway.standalone.embedded.nats import EmbeddedNats
from slipway.standalone.embedded.postgres import EmbeddedPostgres, PostgresOptions
from slipway.standalone.embedded.process import EmbeddedFailure
from slipway.standalone.logview import LogView
from slipway.standalone.servers import WatchedServer
from support.folders import open_folder
from support.waiting import until

QUICK = PostgresOptions(is_durable=False)
SLOW_RECOVERY = "hot_standby = off\nrestore_command = 'sleep 1; false'\n"
"""Recovery asks for about four files of an archive, each of which takes its time."""


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that others may go through."""
    with open_folder("data") as folder:
        yield folder


@pytest.fixture
def slow(data: Path) -> EmbeddedPostgres:
    """A PostgreSQL that takes some seconds to recover."""
    server = EmbeddedPostgres(data, QUICK)
    server.prepare()
    cluster = data / "postgres" / "cluster"
    with (cluster / "postgresql.auto.conf").open("a") as settings:
        settings.write(SLOW_RECOVERY)
    (cluster / "recovery.signal").touch()
    return server


def watched(server: EmbeddedPostgres | EmbeddedNats, data: Path, **bound: int) -> WatchedServer:
    """Make what `up` makes."""
    (data / "view").mkdir()
    view = LogView(data / "view", is_quiet=True)
    return WatchedServer(server, view, on_change=lambda: None, **bound)


async def test_slow_recovery(data: Path, slow: EmbeddedPostgres) -> None:
    """While a server recovers the loop goes on; afterwards it is the same process, and can be used."""
    server = watched(slow, data)
    starting = asyncio.create_task(server.start())
    await until(lambda: server.pid is not None)
    first, longest, last = server.pid, 0.0, time.monotonic()

    while not starting.done():
        await asyncio.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()

    await starting
    assert server.pid == first
    assert longest < 1.5
    await (await asyncpg.connect(slow.admin_url)).close()
    await server.stop(seconds=5)


async def test_stopped_while_it_starts(data: Path, slow: EmbeddedPostgres) -> None:
    """A server that still recovers can be stopped."""
    server = watched(slow, data)
    starting = asyncio.create_task(server.start())
    await until(lambda: server.pid is not None)

    starting.cancel()
    await asyncio.wait_for(server.stop(seconds=4), 5)

    assert server.pid is None


async def test_lost_password(data: Path) -> None:
    """A PostgreSQL that lets us in no more is not waited for."""
    server = EmbeddedPostgres(data, QUICK)
    server.start()
    server.stop()
    (data / "postgres" / "admin-password").write_text("another")

    began = time.monotonic()
    with pytest.raises(EmbeddedFailure, match="authentication failed"):
        server.start()

    assert time.monotonic() - began < 20
    assert not server.server.is_running


async def test_started_again_at_once(data: Path) -> None:
    """A server that was killed is another process within moments."""
    embedded = EmbeddedNats(data)
    server = watched(embedded, data)
    await server.start()
    first = server.pid or 0

    os.kill(first, signal.SIGKILL)

    await until(lambda: server.pid not in {first, None}, within_seconds=2)
    assert await until(embedded.is_usable)
    await server.stop(seconds=5)


async def test_log_is_bounded(data: Path) -> None:
    """A server's own log begins anew when it is long; every line of it was passed on."""
    server = watched(EmbeddedNats(data), data, most_bytes=100)
    await server.start()

    await until(lambda: (data / "nats.log").stat().st_size == 0)

    await server.stop(seconds=5)
    assert "Server is ready" in (data / "view" / "nats.log").read_text()
    assert "Server is ready" not in (data / "nats.log").read_text()
