"""Bring a schema to its newest revision. The only module that needs alembic; a service that runs does not."""

from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from slipway.runtime.process.logs import get_logger

__all__ = ["CommandError", "upgrade"]

log = get_logger()


def upgrade(connection: Connection, schema: str, folder: Path) -> None:
    """Run the steps that a schema does not have yet; raise `CommandError` if they do not fit it."""
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("version_locations", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    script = ScriptDirectory.from_config(config)

    def to_newest(revision: Any, _context: Any) -> Any:
        steps = script._upgrade_revs("head", revision)  # noqa: SLF001 - alembic's own commands call it so
        for step in steps:
            log.info("migration", schema=schema, step=str(step))
        return steps

    with EnvironmentContext(config, script, fn=to_newest) as environment:
        environment.configure(connection=connection, version_table_schema=schema)
        environment.run_migrations()
