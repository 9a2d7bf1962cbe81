"""What an upgrade would do, as far as it can be told without changing or starting anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from slipway.cli.terminal import say
from slipway.standalone.backup.databases import revisions
from slipway.standalone.builds import Build, own_build, stored_build
from slipway.standalone.embedded.postgres import EmbeddedPostgres, PostgresOptions
from slipway.standalone.folders import DataFolder
from slipway.standalone.upgrade.protect import named
from slipway.standalone.upgrade.running import Running
from slipway.standalone.upgrade.safety import SafetyCopy

_UNFINISHED_JOBS = "select count(*) from inventory.jobs where state in ('queued', 'running')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What an upgrade finds."""

    before: Build | None
    running: Running | None
    schemas: Mapping[str, str] | None
    """Schema to the revision it has; None if only the database could say it, which does not run."""
    jobs: int | None
    """How many have not ended; None if only the database could say it."""
    size_bytes: int
    free_bytes: int


async def look(folder: DataFolder, running: Running | None) -> Situation:
    """Look at the data folder and at what runs."""
    before, copy = stored_build(folder), SafetyCopy(folder)
    schemas, jobs = (before.schemas if before else None), None
    if running is not None:
        port = EmbeddedPostgres(folder.path).running_port
        postgres = EmbeddedPostgres(folder.path, PostgresOptions(port=port))
        schemas, jobs = await revisions(postgres), await _jobs(postgres)
    sizes = {"size_bytes": copy.size_bytes(), "free_bytes": copy.free_bytes()}
    return Situation(before=before, running=running, schemas=schemas, jobs=jobs, **sizes)


def print_plan(found: Situation, folder: DataFolder, backup: Path) -> None:
    """Print what there is, and each step of the upgrade."""
    own = own_build()
    schemas = [
        f"{schema} {_revision(found.schemas, schema)} -> {revision}"
        for schema, revision in own.schemas.items()
    ]
    say(f"Upgrade of {folder.path}: {named(found.before)} -> {own.version} ({own.program})")
    say(f"  tables: {', '.join(schemas)}")
    say(f"  disk: {found.size_bytes >> 20} MiB are copied, {found.free_bytes >> 20} MiB are free")
    jobs = "not known while Slipway does not run" if found.jobs is None else str(found.jobs)
    say(f"  jobs that have not ended: {jobs}; they go on where they stand with the next start")
    steps = [
        *([f"stop {found.running}"] if found.running else []),
        f"copy database, bus and keys beside themselves in {folder.path}",
        f"back up to {backup}",
        "migrate the tables and streams",
        "check it: all services but the one that acts on hosts, on a port of this machine",
        "on any failure put the copy back, and say how to go on with the build of before",
        _last_step(found.running),
    ]
    for number, step in enumerate(steps, 1):
        say(f"{number}. {step}")


def _revision(schemas: Mapping[str, str] | None, schema: str) -> str:
    return "?" if schemas is None else schemas.get(schema) or "none"


def _last_step(running: Running | None) -> str:
    if running is not None and running.is_service:
        return "start the service again"
    return "leave it stopped: start it as before"


async def _jobs(postgres: EmbeddedPostgres) -> int:
    connection = await asyncpg.connect(postgres.admin_url, timeout=10)
    try:
        count: int = await connection.fetchval(_UNFINISHED_JOBS)
        return count
    finally:
        await connection.close()
