"""The servers that `slipway up` brings along, also for root and also below closed folders."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import nats
import pytest
from nats.js.errors import APIError

from slipway.standalone.embedded import shared
from slipway.standalone.embedded.nats import EmbeddedNats, NatsOptions, find_program
from slipway.standalone.embedded.postgres import EmbeddedPostgres, PostgresOptions
from slipway.standalone.embedded.process import EmbeddedFailure, account_for
from slipway.standalone.embedded.shared import own_folder, reachable
from support.folders import open_folder
from support.waiting import lives, until

QUICK = PostgresOptions(is_durable=False)


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that others may go through."""
    with open_folder("data") as folder:
        yield folder


@pytest.fixture
def closed_data(data: Path) -> Iterator[Path]:
    """A data folder below somebody's closed home."""
    home = data / "home"
    home.mkdir(mode=0o700)
    folder = home / "slipway"
    folder.mkdir(mode=0o700)
    yield folder
    for name in ("nats", "postgres"):
        place = (folder / name).resolve()
        if place.is_relative_to(shared.SHARED):
            shutil.rmtree(place.parent, ignore_errors=True)


def owner_of(path: str) -> int:
    return Path(path).stat().st_uid


def real(path: Path) -> Path:
    return path.resolve()


def modes(*paths: Path) -> list[int]:
    return [path.stat().st_mode for path in paths]


async def test_postgres_keeps_its_data_over_a_restart(data: Path) -> None:
    """A second start finds the cluster, the password and the rows."""
    server = EmbeddedPostgres(data, QUICK)
    server.start()
    connection = await asyncpg.connect(server.admin_url)
    await connection.execute("create table stored (id int)")
    await connection.close()
    server.stop()

    again = EmbeddedPostgres(data, QUICK)
    again.start()
    connection = await asyncpg.connect(again.admin_url)

    assert await connection.fetchval("select count(*) from stored") == 0
    await connection.close()
    again.stop()


async def test_postgres_lets_nobody_in_without_a_password(data: Path) -> None:
    """Neither over TCP nor over the socket."""
    server = EmbeddedPostgres(data, QUICK)
    server.start()

    for host in ("127.0.0.1", str(data / "postgres")):
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(
                host=host, port=server.port, user="postgres", password="wrong", database="slipway"
            )
    server.stop()


async def test_postgres_starts_after_a_kill(data: Path) -> None:
    """A stale pid file is no reason to refuse."""
    server = EmbeddedPostgres(data, QUICK)
    server.start()
    server.server.kill()

    server.start()

    connection = await asyncpg.connect(server.admin_url)
    assert await connection.fetchval("select 1") == 1
    await connection.close()
    server.stop()


async def test_nats_keeps_streams_over_a_kill_and_has_limits(data: Path) -> None:
    """What was acknowledged is on disk, and the disk is not its to fill."""
    server = EmbeddedNats(data, NatsOptions(max_file_store="100MB"))
    server.start()
    connection = await nats.connect(server.url)
    await connection.jetstream().add_stream(name="S", subjects=["s"])
    await connection.jetstream().publish("s", b"x")
    await connection.close()

    server.server.kill()
    server.start()
    connection = await nats.connect(server.url)
    bus = connection.jetstream()

    assert (await bus.stream_info("S")).state.messages == 1
    with pytest.raises(APIError):
        await bus.add_stream(name="T", subjects=["t"], max_bytes=200_000_000)
    await connection.close()
    server.stop()


async def test_nats_is_woken_seldom(data: Path) -> None:
    """It runs on one processor, and a timer of it may be a millisecond late."""
    server = EmbeddedNats(data)
    server.start()
    process = Path(f"/proc/{server.server.pid}")

    assert process.joinpath("timerslack_ns").read_text().strip() == "1000000"
    assert b"GOMAXPROCS=1" in process.joinpath("environ").read_bytes().split(b"\0")
    server.stop()


@pytest.mark.root
async def test_root_starts_servers_as_somebody_else(data: Path) -> None:
    """Neither server runs as root."""
    servers = EmbeddedNats(data), EmbeddedPostgres(data, QUICK)

    for server in servers:
        server.start()

    for server in servers:
        assert owner_of(f"/proc/{server.server.pid}") == account_for(data).uid != 0
        server.stop()


@pytest.mark.root
async def test_a_closed_data_folder_is_stored_where_the_servers_can_reach_it(closed_data: Path) -> None:
    """Nothing of root's home is opened; the data folder links to the place."""
    before = modes(closed_data.parent, closed_data)
    server = EmbeddedPostgres(closed_data, QUICK)

    server.start()

    connection = await asyncpg.connect(server.admin_url)
    await connection.close()
    server.stop()
    assert real(closed_data / "postgres").is_relative_to(shared.SHARED)
    assert modes(closed_data.parent, closed_data) == before
    assert own_folder(closed_data, "postgres", account_for(closed_data)) == real(closed_data / "postgres")


@pytest.mark.root
def test_programs_below_a_closed_folder_are_copied(data: Path) -> None:
    """A clone in root's home works; the copy is made once and runs as the servers' user."""
    home = data / "home"
    home.mkdir(mode=0o700)
    shutil.copy2(find_program(), home / "nats-server")
    account = account_for(data)

    place = reachable(home, ["nats-server"], account)
    again = reachable(home, ["nats-server"], account)

    assert place == again != home
    run = subprocess.run([place / "nats-server", "-v"], user=account.uid, check=True, capture_output=True)
    assert run.stdout.startswith(b"nats-server")
    shutil.rmtree(place)


@pytest.mark.root
def test_a_place_that_somebody_else_owns_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can put himself between root and its programs."""
    theirs = data / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    monkeypatch.setattr(shared, "SHARED", theirs)
    home = data / "home"
    home.mkdir(mode=0o700)

    with pytest.raises(EmbeddedFailure, match="must belong to root"):
        own_folder(home, "nats", account_for(home))


@pytest.mark.root
def test_it_all_works_as_an_ordinary_user_too(data: Path) -> None:
    """Started by an ordinary user, the servers run as that user, also in his closed home."""
    account = account_for(data)
    home = data / "home"
    home.mkdir(mode=0o700)
    os.chown(home, account.uid, account.gid)

    child = os.fork()
    if child == 0:
        # The interpreter itself may be closed to that user, so it is not started anew.
        os.setgroups([])
        os.setgid(account.gid)
        os.setuid(account.uid)
        for server in (EmbeddedNats(home), EmbeddedPostgres(home, QUICK)):
            server.start()
            server.stop()
        os._exit(0)

    assert os.waitpid(child, 0)[1] == 0
    assert owner_of(str(home / "postgres" / "cluster")) == account.uid


async def test_servers_die_with_whoever_started_them(data: Path) -> None:
    """A supervisor that is killed leaves nothing behind."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from slipway.standalone.embedded.nats import EmbeddedNats\n"
        "from slipway.standalone.embedded.postgres import EmbeddedPostgres, PostgresOptions\n"
        "d = Path(sys.argv[1]); n = EmbeddedNats(d); n.start()\n"
        "p = EmbeddedPostgres(d, PostgresOptions(is_durable=False)); p.start()\n"
        "print(n.server.pid, p.server.pid, flush=True); time.sleep(60)\n"
    )
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(data)), stdout=subprocess.PIPE
    )
    assert supervisor.stdout is not None
    pids = [int(word) for word in (await supervisor.stdout.readline()).split()]
    assert all(lives(pid) for pid in pids)

    supervisor.send_signal(signal.SIGKILL)
    await supervisor.wait()

    await until(lambda: not any(lives(pid) for pid in pids))


def test_a_server_that_can_not_start_says_why(data: Path) -> None:
    """The end of its log is in the error."""
    with pytest.raises(EmbeddedFailure, match="nats-server did not start"):
        EmbeddedNats(data, NatsOptions(max_file_store="lots")).start()
