"""A real PostgreSQL for the whole run, and a database of its own for each test, copied from a template."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from slipway.runtime.database.engine import migrate
from slipway.runtime.database.roles import provision_databases, role_of
from slipway.runtime.process.settings import DatabaseSettings
from slipway.standalone.embedded.postgres import EmbeddedPostgres, PostgresOptions
from support.folders import open_folder


class Databases:
    """Makes databases for tests; a schema is migrated once, then copied."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.server = server
        self._urls: dict[str, str] = {}
        """Template name to the service's URL of it."""
        self._made: list[str] = []

    async def make(self, service: str, migrations: Path | None = None) -> DatabaseSettings:
        """Make a database with the service's schema, migrated if there are migrations."""
        template = f"template_{service}_{abs(hash(migrations)):x}"
        if template not in self._urls:
            self._urls[template] = await self._make_template(template, service, migrations)
        name = f"test_{secrets.token_hex(6)}"
        await self.as_admin(
            f'create database "{name}" template "{template}" strategy file_copy',
            f'grant connect on database "{name}" to "{role_of(service)}"',
        )
        self._made.append(name)
        return _settings(service, self._urls[template], name)

    async def as_admin(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the administrator."""
        connection = await asyncpg.connect(self.server.admin_url_of(database))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def provision(self, database: str, *services: str) -> dict[str, SecretStr]:
        """Give services their roles and schemas in a database; always with the same passwords."""
        passwords = {service: SecretStr(f"password of {service}") for service in services}
        return await provision_databases(self.server.admin_url_of(database), services, passwords=passwords)

    async def drop_all(self) -> None:
        """Drop what tests made."""
        made, self._made = self._made, []
        await self.as_admin(*(f'drop database "{name}" with (force)' for name in made))

    async def _make_template(self, name: str, service: str, migrations: Path | None) -> str:
        await self.as_admin(f'create database "{name}"')
        url = (await self.provision(name, service))[service]
        if migrations is not None:
            await migrate(_settings(service, url.get_secret_value(), name), migrations)
        return url.get_secret_value()


def _settings(service: str, url: str, database: str) -> DatabaseSettings:
    own = make_url(url).set(database=database).render_as_string(hide_password=False)
    return DatabaseSettings(database_url=SecretStr(own), database_schema=service, pool_size=5)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL that forgets everything in a power cut."""
    with open_folder(f"postgres-{os.getpid()}", in_memory=True) as folder:
        server = EmbeddedPostgres(folder, PostgresOptions(is_durable=False, max_connections=200))
        server.start()
        yield server
        server.server.kill()


@pytest.fixture(scope="session")
def _databases(postgres_server: EmbeddedPostgres) -> Databases:
    return Databases(postgres_server)


@pytest.fixture
async def databases(_databases: Databases) -> AsyncIterator[Databases]:
    """A maker of databases: `settings = await databases.make("inventory", migrations_folder)`."""
    yield _databases
    await _databases.drop_all()
