"""The outbox: what was committed reaches the bus, once, and nothing else does."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from nats.aio.client import Client
from pydantic import SecretStr
from sqlalchemy import text

from slipway.contracts.message import Message
from slipway.contracts.problems import TooLarge
from slipway.runtime.bus.call import Call, using
from slipway.runtime.bus.client import Bus
from slipway.runtime.bus.stored import read_all
from slipway.runtime.database import outbox
from slipway.runtime.database.engine import Database
from slipway.runtime.errors import DatabaseUnavailable
from slipway.runtime.process.settings import DatabaseSettings
from slipway.standalone.embedded.nats import EmbeddedNats
from support.messages import Appeared, Log, Phase, Run
from support.nats import MakeBus
from support.postgres import Databases
from support.statements import counted_statements
from support.waiting import until

MIGRATIONS = Path(__file__).parent / "migrations"


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[Database]:
    """A database with an outbox."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    yield database
    await database.dispose()


@pytest.fixture(autouse=True)
def often_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were sent are deleted soon."""
    monkeypatch.setattr(outbox, "POLL_SECONDS", 0.2)


@pytest.fixture
def rarely_looking(monkeypatch: pytest.MonkeyPatch, often_looking: None) -> None:
    """A relay that looks by itself once a minute; named before the relay."""
    monkeypatch.setattr(outbox, "POLL_SECONDS", 60.0)


@pytest.fixture
async def relay(database: Database, make_bus: MakeBus) -> AsyncIterator[Bus]:
    """A running relay."""
    bus = await make_bus("inventory")
    running = asyncio.create_task(outbox.Outbox(database, bus).run())
    yield bus
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def add(database: Database, *messages: tuple[str, Message], **options: int) -> None:
    async with database.begin() as connection:
        rows = [outbox.Outgoing(message=message, message_id=name, **options) for name, message in messages]
        await outbox.add_all(connection, rows)


async def waiting(database: Database) -> int:
    async with database.begin() as connection:
        return int(await connection.scalar(text("select count(*) from outbox")) or 0)


async def has_looked(database: Database) -> bool:
    """Tell whether the relay had its first look; what is added earlier wakes it once more than is needed."""
    statement = """select count(*) from pg_stat_activity
        where application_name = :name and query like 'with sent%' and state = 'idle'"""
    async with database.begin() as connection:
        name = f"slipway-{database.schema}-outbox"
        return bool(await connection.scalar(text(statement), {"name": name}))


async def drained(database: Database, *, within_seconds: float = 10.0) -> None:
    deadline = time.monotonic() + within_seconds
    while await waiting(database):
        assert time.monotonic() < deadline, "the outbox was not drained in time"
        await asyncio.sleep(0.02)


async def has_stored(admin: Client, messages: int) -> bool:
    return (await admin.jetstream().stream_info("EVENTS")).state.messages == messages


async def stored_texts(admin: Client) -> list[str]:
    messages = await read_all(admin, "EVENTS", subject="slipway.v1.event.job.j1.phase")
    return [Phase.model_validate_json(message.payload).text for message in messages]


async def test_a_committed_message_arrives_soon(
    rarely_looking: None, database: Database, relay: Bus, admin: Client
) -> None:
    """The commit wakes the relay, long before it would look by itself; the call of the writer goes along."""
    await asyncio.sleep(0.3)

    with using(Call(actor="user:ann", correlation_id="c-3")):
        await add(database, ("m1", Appeared(id="g1")))

    await until(lambda: has_stored(admin, 1), within_seconds=10)
    message = await admin.jetstream().get_msg("EVENTS", seq=1)
    headers = message.headers or {}
    assert (headers["Slipway-Actor"], headers["Slipway-Correlation-Id"]) == ("user:ann", "c-3")
    assert (headers["ce-source"], headers["Nats-Msg-Id"]) == ("/slipway/inventory", "m1")


async def test_what_was_sent_is_deleted_with_the_next_look(
    rarely_looking: None, database: Database, make_bus: MakeBus, admin: Client
) -> None:
    """A message costs the relay one statement; one that stops leaves nothing behind."""
    bus = await make_bus("inventory")
    running = asyncio.create_task(outbox.Outbox(database, bus).run())
    await until(partial(has_looked, database), within_seconds=10)
    left = []
    for number in range(3):
        await add(database, (f"m{number}", Appeared(id=f"g{number}")))
        await until(partial(has_stored, admin, number + 1), within_seconds=10)
        left.append(await waiting(database))

    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert (left, await waiting(database)) == ([1, 1, 1], 0)
    assert await has_stored(admin, 3)


async def test_many_messages_are_one_statement_and_keep_their_order(
    database: Database, relay: Bus, admin: Client
) -> None:
    """The rows and their announcement go to the database together, however many there are."""
    messages = [(f"m{number}", Phase(id="j1", text=str(number))) for number in range(300)]

    with counted_statements() as statements:
        await add(database, *messages)

    assert len(statements) == 1
    await drained(database)
    assert await stored_texts(admin) == [str(number) for number in range(300)]


async def test_a_rolled_back_message_never_arrives(database: Database, relay: Bus, admin: Client) -> None:
    """What did not happen is not published."""

    async def fail() -> None:
        async with database.begin() as connection:
            await outbox.add(connection, Appeared(id="g1"), message_id="m1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await add(database, ("m2", Appeared(id="g2")))
    await drained(database)

    stream = await admin.jetstream().stream_info("EVENTS", subjects_filter=">")
    assert stream.state.subjects == {"slipway.v1.event.guest.g2.appeared": 1}


async def test_order_is_that_of_the_rows(database: Database, relay: Bus, admin: Client) -> None:
    """Many rows go out pipelined and still in order, over several batches."""
    await add(database, *((f"m{number}", Phase(id="j1", text=str(number))) for number in range(500)))
    await drained(database)

    texts = await stored_texts(admin)
    assert texts == [str(number) for number in range(500)]


async def test_a_command_leaves_after_the_facts_before_it(
    database: Database, make_bus: MakeBus, admin: Client
) -> None:
    """While an earlier fact can't be stored, the command stays; whoever gets it can rely on the fact."""
    config = (await admin.jetstream().stream_info("EVENTS")).config
    await admin.jetstream().update_stream(config.evolve(max_msgs=1))
    await admin.jetstream().publish("slipway.v1.event.guest.x.y", b"{}")
    bus = await make_bus("inventory")
    running = asyncio.create_task(outbox.Outbox(database, bus).run())

    await add(database, ("m1", Phase(id="j1")), ("m2", Run(id="j1")))
    await asyncio.sleep(1)
    assert (await admin.jetstream().stream_info("COMMANDS")).state.messages == 0
    await admin.jetstream().update_stream(config)
    await drained(database)

    assert (await admin.jetstream().stream_info("COMMANDS")).state.messages == 1
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_first_fact_that_is_there_already_counts_as_sent(
    database: Database, relay: Bus, admin: Client
) -> None:
    """A relay that died between the acknowledgement and the delete does not block on its own message."""
    fact = ("m1", Phase(id="j1"))
    await add(database, fact, expect_last_subject_sequence=0)
    await drained(database)

    await add(database, fact, expect_last_subject_sequence=0)
    await drained(database)

    assert (await admin.jetstream().stream_info("EVENTS")).state.messages == 1


async def test_what_the_bus_would_never_take_is_refused_before_the_commit(database: Database) -> None:
    """A row that can't leave would block all behind it."""
    with pytest.raises(TooLarge):
        await add(database, ("m1", Log(id="j1", text="x" * 600_000)))


async def test_a_standby_takes_over(database: Database, make_bus: MakeBus, admin: Client) -> None:
    """One relay works; when it ends another one does within about a second."""
    first, second = await make_bus("inventory"), await make_bus("inventory")
    working = asyncio.create_task(outbox.Outbox(database, first).run())
    await asyncio.sleep(0.3)
    standby = asyncio.create_task(outbox.Outbox(database, second).run())
    await add(database, ("m1", Appeared(id="g1")))
    await drained(database)

    working.cancel()
    await add(database, ("m2", Appeared(id="g1")))
    await drained(database, within_seconds=3)

    assert (await admin.jetstream().stream_info("EVENTS")).state.messages == 2
    standby.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(working, standby)


async def test_a_relay_without_a_database_says_so_without_a_traceback(
    databases: Databases, database: Database, make_bus: MakeBus
) -> None:
    """Whether there is no server, or the connection is cut: it is time's move, and tried again soon."""
    bus = await make_bus("inventory")
    nowhere = DatabaseSettings(database_url=SecretStr("postgresql://a:b@127.0.0.1:1/x"))
    relaying = asyncio.create_task(outbox.Outbox(database, bus).run())
    await add(database, ("m1", Appeared(id="g1")))
    await drained(database)

    await databases.as_admin(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like '%outbox'"
    )

    with pytest.raises(DatabaseUnavailable):
        await relaying
    with pytest.raises(DatabaseUnavailable):
        await outbox.Outbox(Database(nowhere), bus).run()


async def test_messages_wait_while_the_bus_is_away(
    database: Database, relay: Bus, nats_server: EmbeddedNats, admin: Client
) -> None:
    """A dead bus delays facts; it loses none and doubles none."""
    nats_server.server.kill()
    await add(database, *((f"m{number}", Appeared(id="g1")) for number in range(20)))
    await asyncio.sleep(0.5)

    nats_server.start()
    await drained(database, within_seconds=20)

    assert (await admin.jetstream().stream_info("EVENTS")).state.messages == 20


RELAY = """
import asyncio, sys
from pydantic import SecretStr
from slipway.runtime.bus.client import Bus
from slipway.runtime.database.engine import Database
from slipway.runtime.database import outbox
from slipway.runtime.process.settings import DatabaseSettings, ServiceSettings

outbox.IDLE_SECONDS, outbox.POLL_SECONDS = 3, 1

async def main():
    bus = Bus(ServiceSettings(nats_url=sys.argv[1]), service="inventory")
    await bus.start()
    settings = DatabaseSettings(database_url=SecretStr(sys.argv[2]), database_schema="inventory")
    await outbox.Outbox(Database(settings), bus).run()

asyncio.run(main())
"""


async def test_a_relay_that_hangs_holds_the_outbox_for_a_moment_only(
    databases: Databases, nats_server: EmbeddedNats, admin: Client
) -> None:
    """A stopped process keeps connection and lock: PostgreSQL ends them, and another relay goes on."""
    settings = await databases.make("inventory", MIGRATIONS)
    database = Database(settings)
    command = [sys.executable, "-c", RELAY, nats_server.url, settings.database_url.get_secret_value()]

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    hanging = start()
    await add(database, ("m1", Phase(id="j1", text="1")))
    await drained(database)
    other = start()

    try:
        hanging.send_signal(signal.SIGSTOP)
        await add(database, ("m2", Phase(id="j1", text="2")))
        await drained(database, within_seconds=20)
    finally:
        for relay in (hanging, other):
            relay.kill()
            relay.wait()

    assert await stored_texts(admin) == ["1", "2"]
    await database.dispose()


@pytest.mark.slow
async def test_a_relay_killed_again_and_again_loses_and_doubles_nothing(
    databases: Databases, nats_server: EmbeddedNats, admin: Client
) -> None:
    """Kill the relay at random moments while rows are written: every row is stored once, in order."""
    settings = await databases.make("inventory", MIGRATIONS)
    database = Database(settings)
    command = [sys.executable, "-c", RELAY, nats_server.url, settings.database_url.get_secret_value()]

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    async def write() -> None:
        for number in range(300):
            first = number * 5
            await add(database, *((f"m{n}", Phase(id="j1", text=str(n))) for n in range(first, first + 5)))

    writing = asyncio.create_task(write())
    for life in (1.1, 1.3, 1.5, 1.2, 1.4):
        relay = start()
        await asyncio.sleep(life)
        relay.send_signal(signal.SIGKILL)
        relay.wait()
    await writing
    relay = start()
    await drained(database, within_seconds=30)
    relay.kill()
    relay.wait()

    texts = await stored_texts(admin)
    assert texts == [str(number) for number in range(1500)]
    await database.dispose()


async def test_commands_wait_while_events_leave(database: Database, make_bus: MakeBus, admin: Client) -> None:
    """As long as a condition of the database does not hold; then they leave in their order."""
    bus = await make_bus("inventory")
    await add(database, ("c1", Run(id="j1")), ("e1", Appeared(id="g1")))
    condition = "exists (select from outbox where message_id = 'go')"
    running = asyncio.create_task(outbox.Outbox(database, bus, commands_while=condition).run())

    await until(partial(has_stored, admin, 1), within_seconds=20)
    held = (await admin.jetstream().stream_info("COMMANDS")).state.messages
    await add(database, ("go", Run(id="j2")))
    await until(partial(_has_commands, admin, 2), within_seconds=20)

    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert held == 0


async def _has_commands(admin: Client, messages: int) -> bool:
    return (await admin.jetstream().stream_info("COMMANDS")).state.messages == messages
