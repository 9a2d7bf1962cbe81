"""PostgreSQL: a schema of one's own, migrated once, and errors that say whose move it is."""

import asyncio
import os
import shutil
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from slipway.runtime.database.engine import Database, migrate
from slipway.runtime.database.roles import provision_databases, scram_verifier
from slipway.runtime.errors import DatabaseUnavailable
from slipway.runtime.process import service
from slipway.runtime.process.settings import DatabaseSettings, SettingsProblem
from support.postgres import Databases
from support.waiting import lives, until

MIGRATIONS = Path(__file__).parent / "migrations"


async def test_a_transaction_commits_or_rolls_back(databases: Databases) -> None:
    """What raised never happened."""
    database = Database(await databases.make("inventory", MIGRATIONS))

    async def insert(number: int) -> None:
        async with database.begin() as connection:
            await connection.execute(text("insert into things (id) values (:id)"), {"id": number})
            assert number == 1

    await insert(1)
    with pytest.raises(AssertionError):
        await insert(2)

    async with database.begin() as connection:
        assert (await connection.scalars(text("select id from things"))).all() == [1]
    await database.dispose()


async def test_a_broken_constraint_stays_the_stores_business(databases: Databases) -> None:
    """The store knows which domain error a constraint means; the runtime does not."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    insert = text("insert into things (id) values (1)")

    async def twice() -> None:
        async with database.begin() as connection:
            await connection.execute(insert)
            await connection.execute(insert)

    with pytest.raises(IntegrityError):
        await twice()
    await database.dispose()


async def test_no_database_is_unavailable(databases: Databases) -> None:
    """A refused connection is time's move."""
    settings = DatabaseSettings(
        database_url=SecretStr("postgresql://a:b@127.0.0.1:1/x"), database_schema="inventory"
    )

    with pytest.raises(DatabaseUnavailable):
        await Database(settings).ping()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "255.255.255.255"])
async def test_a_database_without_a_name_or_a_route_is_unavailable(host: str) -> None:
    """A stopped container loses its name; what was asked waits for it and is not dead_letters."""
    url = SecretStr(f"postgresql://a:b@{host}/x")
    settings = DatabaseSettings(database_url=url, database_schema="inventory")

    with pytest.raises(DatabaseUnavailable):
        await Database(settings).ping()
    with pytest.raises(DatabaseUnavailable):
        await migrate(settings, MIGRATIONS)


async def test_a_connection_cut_in_the_middle_is_unavailable(databases: Databases) -> None:
    """An administrator's shutdown in the middle of a transaction is not a bug of ours."""
    database = Database(await databases.make("inventory", MIGRATIONS))

    async def cut() -> None:
        async with database.begin() as connection:
            pid = await connection.scalar(text("select pg_backend_pid()"))
            await databases.as_admin(f"select pg_terminate_backend({pid})")
            await connection.execute(text("select 1"))

    with pytest.raises(DatabaseUnavailable):
        await cut()
    await database.ping()
    await database.dispose()


@pytest.mark.parametrize("most", [1, 2])
async def test_a_read_whose_connection_is_cut_is_run_again(databases: Databases, most: int) -> None:
    """Once: a second cut is the caller's to know."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    async with database.begin() as connection:
        await connection.execute(text("create sequence cuts"))
    count = (
        "select case when nextval('cuts') <= $1 then pg_terminate_backend(pg_backend_pid()) end, 'x' as text"
    )

    if most == 1:
        (row,) = await database.fetch(count, most)
        assert row.text == "x"
    else:
        with pytest.raises(DatabaseUnavailable):
            await database.fetch(count, most)
    await database.dispose()


@pytest.mark.parametrize("opened", [1, 4])
async def test_connections_that_ended_in_the_pool_are_replaced(databases: Databases, opened: int) -> None:
    """As after a restart of the server: neither a read nor a transaction meets one of them."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(database.begin()) for _ in range(opened)]
        pids = {await each.scalar(text("select pg_backend_pid()")) for each in connections}
        drivers: list[Any] = [(await each.get_raw_connection()).driver_connection for each in connections]

    await databases.as_admin(*(f"select pg_terminate_backend({pid})" for pid in pids))
    await until(lambda: all(driver.is_closed() for driver in drivers))
    async with database.begin() as connection:
        in_transaction = await connection.scalar(text("select pg_backend_pid()"))
    read = await database.fetch("select pg_backend_pid() as pid")

    assert {in_transaction, read[0].pid} & pids == set()
    await database.dispose()


async def test_a_read_is_one_statement_without_a_transaction(databases: Databases) -> None:
    """Nothing is asked of a connection that was just used, nor begun or ended around what is read."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    statements: list[str] = []

    async with database.begin() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        driver.add_query_logger(lambda record: statements.append(record.query))
    for _ in range(3):
        await database.fetch("select 17")
    async with database.begin() as connection:
        await connection.execute(text("select 18"))
    await database.dispose()

    first, *others = (index for index, statement in enumerate(statements) if statement.startswith("BEGIN"))
    assert statements[:first] == ["select 17"] * 3
    assert (statements[-1], others) == ("COMMIT;", [])


async def test_migrations_that_start_together_run_once(databases: Databases, tmp_path: Path) -> None:
    """Replicas that come up at the same time take turns; the second finds nothing to do."""
    settings = await databases.make("inventory")

    await asyncio.gather(*(migrate(settings, MIGRATIONS) for _ in range(4)))

    database = Database(settings)
    async with database.begin() as connection:
        assert await connection.scalar(text("select version_num from alembic_version")) == "0002"
        assert await connection.scalar(text("select more from things")) is None
    await database.dispose()


async def test_a_migration_that_breaks_leaves_nothing(databases: Databases, tmp_path: Path) -> None:
    """All steps or none."""
    folder = tmp_path / "100% migrations"
    shutil.copytree(MIGRATIONS, folder)
    broken = "revision = '0003'\ndown_revision = '0002'\n\ndef upgrade():\n    raise ZeroDivisionError\n"
    (folder / "0003_broken.py").write_text(broken)
    settings = await databases.make("inventory")

    with pytest.raises(ZeroDivisionError):
        await migrate(settings, folder)

    database = Database(settings)
    async with database.begin() as connection:
        assert await connection.scalar(text("select to_regclass('things')")) is None
    await database.dispose()


async def test_the_schema_of_a_newer_version_is_refused(databases: Databases, tmp_path: Path) -> None:
    """One sentence says so; it is not a bug, so there is no traceback."""
    settings = await databases.make("inventory", MIGRATIONS)
    shutil.copy(next(MIGRATIONS.glob("0001*")), tmp_path)

    with pytest.raises(SettingsProblem, match=r"inventory can't be migrated by this version: .*0002"):
        await migrate(settings, tmp_path)


async def test_no_service_can_read_anothers_schema(databases: Databases) -> None:
    """Each role may use its own schema only: no reading, no writing, no creating elsewhere."""
    await databases.as_admin("create database shared")
    try:
        services = ("gateway", "inventory", "monitor", "catalog")
        urls = await databases.provision("shared", *services)
        for service, url in urls.items():
            await migrate(DatabaseSettings(database_url=url, database_schema=service), MIGRATIONS)

        for service, url in urls.items():
            connection = await asyncpg.connect(url.get_secret_value())
            await connection.execute("insert into things (id) values (1)")
            for other in set(services) - {service}:
                for statement in (
                    f"table {other}.things",
                    f"delete from {other}.outbox",  # noqa: S608 - the names are ours
                    f"create table {other}.mine (id int)",
                    f"grant usage on schema {other} to slipway_{service}",
                ):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(statement)
            for statement in ("create table public.mine (id int)", "create schema mine", "create role mine"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
            await connection.close()
    finally:
        await databases.as_admin("drop database shared with (force)")


async def test_provisioning_again_gives_new_passwords_and_keeps_the_data(databases: Databases) -> None:
    """`up` provisions on every start; old passwords end with it."""
    await databases.as_admin("create database again")
    try:
        admin = databases.server.admin_url_of("again")
        first = (await provision_databases(admin, ["extra"]))["extra"]
        await migrate(DatabaseSettings(database_url=first, database_schema="extra"), MIGRATIONS)

        second = (await provision_databases(admin, ["extra"]))["extra"]

        connection = await asyncpg.connect(second.get_secret_value())
        assert await connection.fetchval("select count(*) from things") == 0
        await connection.close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(first.get_secret_value())
    finally:
        await databases.as_admin("drop database again with (force)")


def test_a_verifier_does_not_hold_the_password() -> None:
    """What PostgreSQL is sent can be logged without harm."""
    assert "hunter22" not in scram_verifier("hunter22")


@pytest.mark.parametrize("opened", [1, 5])
async def test_a_frozen_database_is_left_without_a_word(
    databases: Databases, caplog: pytest.LogCaptureFixture, opened: int
) -> None:
    """However many connections it never takes leave of: closing them ends in time, and reports no error."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(database.begin()) for _ in range(opened)]
        pids = [await each.scalar(text("select pg_backend_pid()")) for each in connections]
    for each in pids:
        os.kill(each, signal.SIGSTOP)

    try:
        async with asyncio.timeout(service.CLOSE_SECONDS):
            await database.dispose()
    finally:
        for each in pids:
            os.kill(each, signal.SIGCONT)

    assert caplog.records == []


async def test_a_closed_database_leaves_no_connection(databases: Databases) -> None:
    """A server that answers knows at once that nobody is there any more."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    async with database.begin() as connection:
        pid = await connection.scalar(text("select pg_backend_pid()"))

    await database.dispose()

    assert await until(lambda: not lives(pid))


async def test_a_connection_that_rests_is_ended_by_the_server(databases: Databases) -> None:
    """After a minute, also where nobody lends one meanwhile."""
    database = Database(await databases.make("inventory", MIGRATIONS))
    async with database.begin() as connection:
        shown = await connection.scalar(text("show idle_session_timeout"))
    await database.dispose()

    assert shown == "1min"
