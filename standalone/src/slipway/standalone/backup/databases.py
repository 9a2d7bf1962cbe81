"""The database of a backup: PostgreSQL's own `pg_dump` and `pg_restore`, over loopback with a password.

A dump is one transaction: all schemas as of the same moment, whatever the services write meanwhile.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import asyncpg

from slipway.cli.errors import CommandFailed
from slipway.runtime.database.roles import role_of
from slipway.standalone.backup.archive import PIECE_BYTES
from slipway.standalone.embedded.postgres import ADMIN, DATABASE, EmbeddedPostgres, find_programs
from slipway.standalone.services import WITH_TABLES

_LAST_LINES = 2000


class DatabaseFailed(CommandFailed):
    """PostgreSQL's programs did not do it; says what they said."""


async def dump(postgres: EmbeddedPostgres) -> AsyncIterator[bytes]:
    """Dump the database, with owners and rights, compressed."""
    process = await _start(postgres, "pg_dump", "--format=custom")
    assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - both are pipes
    complaints = asyncio.create_task(process.stderr.read())
    try:
        while piece := await process.stdout.read(PIECE_BYTES):
            yield piece
    finally:
        if process.returncode is None and not process.stdout.at_eof():
            process.kill()
        await _ended(process, complaints, "pg_dump")


async def load(postgres: EmbeddedPostgres, pieces: Iterable[bytes]) -> None:
    """Load a dump into the empty database, in one transaction."""
    await _make_roles(postgres)
    process = await _start(postgres, "pg_restore", "--single-transaction", "--exit-on-error")
    assert process.stdin is not None and process.stderr is not None  # noqa: S101, PT018 - both are pipes
    complaints = asyncio.create_task(process.stderr.read())
    try:
        for piece in pieces:
            process.stdin.write(piece)
            await process.stdin.drain()
        process.stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        # It has given up; why is among its complaints.
        pass
    await _ended(process, complaints, "pg_restore")


async def revisions(postgres: EmbeddedPostgres) -> dict[str, str]:
    """Return each schema's revision."""
    connection = await asyncpg.connect(postgres.admin_url, timeout=10)
    try:
        return {
            schema: await connection.fetchval(f'select version_num from "{schema}".alembic_version')  # noqa: S608 - our own
            for schema in WITH_TABLES
        }
    except asyncpg.UndefinedTableError as error:
        raise CommandFailed(
            "Slipway has never started on this folder (a schema is missing): run `slipway up` once"
        ) from error
    finally:
        await connection.close()


async def _make_roles(postgres: EmbeddedPostgres) -> None:
    """Make the owners of what is loaded; their passwords come with the next start."""
    connection = await asyncpg.connect(postgres.admin_url, timeout=10)
    try:
        for service in WITH_TABLES:
            await connection.execute(f'create role "{role_of(service)}" login')
    finally:
        await connection.close()


async def _start(postgres: EmbeddedPostgres, program: str, *arguments: str) -> asyncio.subprocess.Process:
    root, parts = find_programs()
    path: Path = root / parts[0] / "bin" / program
    address = ("--host=127.0.0.1", f"--port={postgres.port}", f"--username={ADMIN}", f"--dbname={DATABASE}")
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}
    return await asyncio.create_subprocess_exec(
        path,
        *address,
        "--no-password",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**environment, "PGPASSWORD": postgres.admin_password, "PGCONNECT_TIMEOUT": "10"},
        limit=PIECE_BYTES,
    )


async def _ended(
    process: asyncio.subprocess.Process, complaints: "asyncio.Task[bytes]", program: str
) -> None:
    text = (await complaints).decode(errors="replace").strip()[-_LAST_LINES:]
    if await process.wait() != 0:
        raise DatabaseFailed(f"{program} failed: {text}")
