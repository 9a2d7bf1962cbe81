"""Bring the bus and the database to what the services expect, and hand out the services' secrets."""

import asyncio
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from slipway.runtime.database.engine import migrate
from slipway.runtime.database.roles import provision_databases
from slipway.runtime.process.settings import DatabaseSettings
from slipway.runtime.topology.__main__ import AdminSettings, apply_as_admin
from slipway.runtime.topology.identity_files import Identities
from slipway.standalone.embedded.postgres import EmbeddedPostgres, PostgresOptions
from slipway.standalone.folders import DataFolder
from slipway.standalone.handouts import hand_out
from slipway.standalone.services import WITH_TABLES
from slipway.standalone.upgrade.protect import settle


async def declare(*, data: str, nats_url: str, postgres_port: int, is_tryout: bool) -> None:
    """Make streams, roles and schemas, or bring them to their newest form; new passwords on every start.

    From then on the data is of this build; in a tryout that is for others to say.
    """
    folder = DataFolder(Path(data))
    postgres = EmbeddedPostgres(folder.path, PostgresOptions(port=postgres_port))
    key = Identities(folder.identities).nkey_file
    settings = AdminSettings(
        nats_url=nats_url, nats_nkey_file=key("admin"), integrators_nkey_file=key("integrators-admin")
    )
    urls, _ = await asyncio.gather(declare_databases(postgres.admin_url), apply_as_admin(settings))
    hand_out(folder, urls)
    if not is_tryout:
        settle(folder)


async def declare_databases(admin_url: str) -> Mapping[str, str]:
    """Make roles and schemas, or bring them to their newest form; return the services' URLs."""
    urls = await provision_databases(admin_url, WITH_TABLES)
    for name, url in urls.items():
        revisions = Path(str(files(f"slipway.{name}") / "migrations"))
        await migrate(DatabaseSettings(database_url=url, database_schema=name), revisions)
    return {name: url.get_secret_value() for name, url in urls.items()}
