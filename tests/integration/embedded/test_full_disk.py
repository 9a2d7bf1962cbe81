"""A full disk under `up`: its reserve, and a bus that gave its streams up for want of room."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import StorageType, StreamConfig

from slipway.standalone.embedded.nats import EmbeddedNats, NatsOptions
from slipway.standalone.logview import LogView
from slipway.standalone.reserve import BYTES, Reserve
from slipway.standalone.servers import WatchedServer
from support.folders import fill_up, open_folder, small_disk
from support.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]
SUBJECT = "it"


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk of 400 MiB."""
    with small_disk("full", 400) as folder:
        yield folder


@pytest.fixture
def view() -> Iterator[LogView]:
    """A log that is elsewhere."""
    with open_folder("view") as folder:
        yield LogView(folder, is_quiet=True)


def free_mib(folder: Path) -> int:
    """Return how much a disk has left."""
    return shutil.disk_usage(folder).free >> 20


async def test_reserve(disk: Path) -> None:
    """It takes its size while there is enough, is given back when the rest is used up, and taken again."""
    reports: list[str] = []
    reserve, filler = Reserve(disk, reports.append), disk / "filler"

    await reserve.look()
    taken = free_mib(disk)
    fill_up(filler)
    await reserve.look()
    given_back = free_mib(disk)
    await reserve.look()
    later = free_mib(disk)
    filler.unlink()
    await reserve.look()

    assert (taken, given_back, later, free_mib(disk)) == (400 - (BYTES >> 20), 64, 64, taken)
    assert len(reports) == 1
    assert "containers can be stopped and deleted" in reports[0]


async def test_too_small_a_disk_has_no_reserve(disk: Path) -> None:
    """Where the reserve would leave too little, there is none."""
    fill_up(disk / "filler", leave_mib=200)

    await Reserve(disk, lambda _line: None).look()

    assert not (disk / "reserve").exists()


async def test_bus_that_gave_up(disk: Path, view: LogView) -> None:
    """A bus that had no room, and so serves no stream any more, is started again, and serves them."""
    embedded = EmbeddedNats(disk, NatsOptions(max_file_store="300MB"))
    server = WatchedServer(embedded, view, on_change=lambda: None)
    await server.start()
    first, filler = server.pid, disk / "filler"
    connection = await nats.connect(embedded.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    stream = StreamConfig(name="IT", subjects=[SUBJECT], storage=StorageType.FILE)
    await connection.jetstream().add_stream(stream)
    await connection.jetstream().publish(SUBJECT, b"before")
    fill_up(filler)

    await until(lambda: refuses(connection))
    filler.unlink()
    await until(lambda: stores(connection), within_seconds=60)

    assert server.pid not in {None, first}
    assert (await connection.jetstream().get_msg("IT", 1)).data == b"before"
    await connection.close()
    await server.stop(seconds=5)


async def stores(connection: Client) -> bool:
    """Whether the stream takes a message."""
    try:
        await connection.jetstream().publish(SUBJECT, b"x" * 100_000, timeout=1)
    except (NatsError, TimeoutError):
        return False
    return True


async def refuses(connection: Client) -> bool:
    """Whether it takes none."""
    return not await stores(connection)
