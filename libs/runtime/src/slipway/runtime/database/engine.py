"""A service's own schema in PostgreSQL: transactions and migrations.

Third-party errors that mean "not now" (no connection, a restart, a deadlock, a full pool) leave here as
`DatabaseUnavailable`; a broken constraint stays SQLAlchemy's `IntegrityError`, which the store turns into a
domain error. No network call belongs inside a transaction.
"""

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
from pydantic_core import from_json
from sqlalchemy import ClauseElement, event, text
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_only

from slipway.runtime.errors import DatabaseUnavailable
from slipway.runtime.process.logs import get_logger
from slipway.runtime.process.settings import DatabaseSettings, SettingsProblem
from slipway.runtime.secrets.redaction import redact_for_good

log = get_logger()

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 30.0
POOL_SECONDS = 5.0
DISPOSE_SECONDS = 2.0
"""How long closing a full pool may take: its connections are closed one after the other."""

RESTED_SECONDS = 1.0
"""A connection that was used later than this is taken as it is; one that rested longer is asked first."""

IDLE_SECONDS = 60
"""After this PostgreSQL ends a connection that rests: each is a process there, which grows with its work, and
after many jobs at once a few do what is left. One that was ended is replaced when it is lent."""

_TRANSIENT_CLASSES = ("08", "53", "57P", "40001", "40P01")
"""Prefixes of SQLSTATE: connection, resources, operator intervention, serialization, deadlock."""
_LOST = (
    asyncpg.InterfaceError,
    # What is asked of a connection that the server has just ended, unasked (asyncpg 0.32, observed).
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
)


class Database:
    """The pool of connections of one replica."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self.schema = settings.database_schema
        self.url = url_of(settings)
        self._engine = _engine(settings, pool_size=settings.pool_size, command_timeout=STATEMENT_SECONDS)
        _check_when_lent(self._engine)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction: committed when the block ends, rolled back when it raises."""
        with needs_database("The database did not answer."):
            async with self._engine.begin() as connection:
                yield connection

    async def fetch(self, statement: str, *arguments: object) -> Sequence["Record"]:
        """Run one statement that only reads, past SQLAlchemy, which costs more than the statement itself.

        It is a transaction of its own, and is run once more if its connection is lost.

        Args:
            statement: with `$1` for the first argument; it stays prepared.
            arguments: of the types that asyncpg expects.
        """
        with needs_database("The database did not answer."):
            try:
                return await self._fetch(statement, arguments)
            except Exception as error:
                if not isinstance(error, _LOST):
                    raise
            return await self._fetch(statement, arguments)

    async def ping(self) -> None:
        """Raise `DatabaseUnavailable` unless a statement gets through."""
        async with self.autocommit() as connection:
            await connection.execute(text("select 1"))

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection on which each statement is a transaction of its own."""
        with needs_database("The database did not answer."):
            async with self._engine.connect() as connection:
                yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    async def dispose(self) -> None:
        """Close every connection; takes `DISPOSE_SECONDS` at most."""
        await self._engine.dispose()

    async def _fetch(self, statement: str, arguments: Sequence[object]) -> Sequence["Record"]:
        async with self._engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                rows: Sequence[Record] = await driver.fetch(statement, *arguments, record_class=Record)
            except _LOST as error:
                await connection.invalidate(error)
                raise
            return rows


class Record(asyncpg.Record):
    """A row whose columns are attributes, as those of SQLAlchemy's rows; JSON is text."""

    def __getattr__(self, name: str) -> Any:
        """Return a column."""
        return self[name]


def sql_of(statement: ClauseElement) -> str:
    """Return a statement as text for `Database.fetch`, with the values that are in it."""
    in_full = {"literal_binds": True}
    return str(statement.compile(dialect=dialect(paramstyle="named"), compile_kwargs=in_full))  # type: ignore[no-untyped-call]


def url_of(settings: DatabaseSettings) -> URL:
    """Return the database's URL; its password is masked in the logs from now on."""
    configured = settings.database_url.get_secret_value()
    if not configured:
        raise SettingsProblem("SLIPWAY_DATABASE_URL: it is not set; postgresql://role:password@host/database")
    try:
        url = make_url(configured)
    except (ArgumentError, ValueError):
        # The text of the error contains the password.
        raise SettingsProblem("SLIPWAY_DATABASE_URL: this is not the URL of a database") from None
    if url.password:
        redact_for_good(str(url.password))
    return url.set(drivername="postgresql")


def is_transient(error: BaseException) -> bool:
    """Whether the same transaction may go through later."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if str(getattr(cause, "sqlstate", None) or "").startswith(_TRANSIENT_CLASSES):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or isinstance(error, InterfaceError)
    # Any OSError: a stopped server may lose its name and its route too, not only refuse.
    return isinstance(error, (OSError, PoolTimeoutError, *_LOST))


@contextmanager
def needs_database(message: str) -> Iterator[None]:
    """Raise `DatabaseUnavailable` with this message if the block fails, but may go through later."""
    try:
        yield
    except Exception as error:
        if is_transient(error):
            raise DatabaseUnavailable(message) from error
        raise


async def migrate(settings: DatabaseSettings, folder: Path) -> None:
    """Bring the schema to the newest revision, in one transaction; replicas that start together take turns.

    Args:
        settings: whose schema.
        folder: holds alembic revision files and nothing else.

    Raises:
        SettingsProblem: if a newer version has migrated the schema, or a step fails; nothing is changed then.
    """
    engine = _engine(settings, command_timeout=None, poolclass=NullPool)
    try:
        with needs_database("The database did not answer."):
            if not await _has_newest(engine, settings.database_schema, folder):
                await _upgrade(engine, settings.database_schema, folder)
    finally:
        await engine.dispose()


async def is_migrated(settings: DatabaseSettings, folder: Path) -> bool:
    """Whether the schema is at the newest revision of a folder; nothing is changed."""
    engine = _engine(settings, command_timeout=STATEMENT_SECONDS, poolclass=NullPool)
    try:
        with needs_database("The database did not answer."):
            return await _has_newest(engine, settings.database_schema, folder)
    finally:
        await engine.dispose()


async def _has_newest(engine: AsyncEngine, schema: str, folder: Path) -> bool:
    """Whether there is nothing to do, which is found out without alembic."""
    table = f'"{schema}".alembic_version'
    async with engine.connect() as connection:
        if await connection.scalar(text("select to_regclass(:table)"), {"table": table}) is None:
            return False
        versions = await connection.scalars(text(f"select version_num from {table}"))  # noqa: S608 - our own
        return versions.all() == [_newest(folder)]


def _newest(folder: Path) -> str:
    """Return the newest revision; the names of the files begin with theirs."""
    return max(path.name for path in folder.glob("*.py")).partition("_")[0]


async def _upgrade(engine: AsyncEngine, schema: str, folder: Path) -> None:
    from slipway.runtime.database.upgrade import CommandError, upgrade  # noqa: PLC0415 - brings alembic along

    try:
        async with engine.begin() as connection:
            await _prepare(connection, schema)
            await connection.run_sync(upgrade, schema, folder)
    except CommandError as error:
        problem = f"its schema {schema} can't be migrated by this version: {error}"
        raise SettingsProblem(f"SLIPWAY_DATABASE_URL: {problem}") from error
    except DBAPIError as error:
        if is_transient(error):
            raise
        problem = f"the migration of its schema {schema} failed: {error.orig}"
        raise SettingsProblem(f"SLIPWAY_DATABASE_URL: {problem}") from error


async def _prepare(connection: AsyncConnection, schema: str) -> None:
    await connection.execute(
        text("select pg_advisory_xact_lock(hashtext(:name))"), {"name": f"migrate {schema}"}
    )
    exists = await connection.scalar(text("select to_regnamespace(:schema) is not null"), {"schema": schema})
    if not exists:
        await connection.execute(text(f'create schema "{schema}"'))
    await connection.execute(text(f'revoke all on schema "{schema}" from public'))


def _closing_within(seconds: float) -> type[asyncpg.Connection]:
    """Return a class of connections that wait so long, at most, for the server to close its end.

    The server has been told by then that the connection ends; one that is frozen never answers that.
    """

    class Connection(asyncpg.Connection):
        async def close(self, *, timeout: float | None = None) -> None:
            with suppress(TimeoutError):
                await super().close(timeout=seconds if timeout is None else timeout)

    return Connection


def _check_when_lent(engine: AsyncEngine) -> None:
    """Replace connections that ended in the pool: a server that stops says so, one that vanished does not."""

    def note_return(_connection: Any, record: Any) -> None:
        record.info["returned"] = time.monotonic()

    def check(connection: Any, record: Any, _proxy: Any) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError
        if time.monotonic() - record.info.get("returned", time.monotonic()) > RESTED_SECONDS:
            try:
                # Nothing at all to do: one round trip, where SQLAlchemy's ping opens a transaction for it.
                await_only(connection.driver_connection.fetchrow(";"))
            except Exception as error:
                raise DisconnectionError from error

    event.listen(engine.sync_engine, "checkin", note_return)
    event.listen(engine.sync_engine, "checkout", check)


def _engine(settings: DatabaseSettings, *, command_timeout: float | None, **options: Any) -> AsyncEngine:
    if "poolclass" not in options:
        # The connection that was used last is lent first: those that rest longer have to be asked.
        options |= {"max_overflow": 0, "pool_timeout": POOL_SECONDS, "pool_use_lifo": True}
    return create_async_engine(
        url_of(settings).set(drivername="postgresql+asyncpg"),
        # Half the time of the standard library's; lists are mostly JSON.
        json_deserializer=from_json,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "command_timeout": command_timeout,
            "connection_class": _closing_within(DISPOSE_SECONDS / settings.pool_size),
            "server_settings": {
                "search_path": settings.database_schema,
                "application_name": f"slipway-{settings.database_schema}",
                "idle_session_timeout": f"{IDLE_SECONDS}s",
            },
        },
        **options,
    )
