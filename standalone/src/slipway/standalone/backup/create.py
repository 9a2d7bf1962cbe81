"""`slipway backup`: write all that can't be made anew into one file, and the key ring into another.

The order matters. First it is noted how far inventory has got with each stream, then the database is dumped,
then the streams: so the streams hold at least what the database knows, and a restore reads on from the note.
Nothing is lost and nothing is stored twice, because every handler tolerates a repetition. The commands that
wait on the bus are left out: the database has those jobs, and a restored Slipway begins none by itself.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from importlib.metadata import version
from pathlib import Path

import asyncpg
from nats.js.errors import NotFoundError
from pydantic import SecretStr

from slipway.cli.errors import CommandFailed
from slipway.cli.terminal import say, warn
from slipway.runtime.bus.stream_snapshot import read_snapshot
from slipway.runtime.process.clock import now
from slipway.runtime.process.disk import MIB
from slipway.runtime.secrets.vault import KeyRing, Vault
from slipway.runtime.topology.declared import (
    ADVISORIES,
    BUNDLES,
    CONSUMERS,
    DEAD_LETTERS,
    EVENTS,
)
from slipway.standalone.backup.archive import (
    SUFFIX,
    ArchiveWriter,
    Manifest,
    StreamPart,
    refuse_existing,
    write_archive,
)
from slipway.standalone.backup.databases import dump, revisions
from slipway.standalone.backup.servers import Servers, reached
from slipway.standalone.folders import DataFolder, write_whole

STREAMS = (EVENTS, DEAD_LETTERS, ADVISORIES, f"OBJ_{BUNDLES}")
"""What the bus alone has: records and logs of jobs, what failed, the archives that jobs were accepted with.
Last observations and leases are made anew."""
FOLDERS = ("secrets", "identities")
"""Of the data folder: tokens and certificates, keys of the bus's users."""
DATABASE = "database.pgdump"
KEY_CHECK = SecretStr("slipway backup")
_LEFT_OUT = (
    "the key ring: in the file of --keys, or DATA/secrets/key-ring.json",
    "commands that wait on the bus: the database has their jobs",
    "the lab of `slipway up --lab` and its guests",
    "settings from the environment (SLIPWAY_...): where Slipway is started",
)


async def create_backup(
    folder: DataFolder,
    file: Path,
    keys: Path | None,
    reach: Callable[[DataFolder], AbstractAsyncContextManager[Servers]] = reached,
) -> Manifest:
    """Write a backup, and the key ring if a file is named for it; both are readable by their owner only.

    Args:
        folder: of what is backed up.
        file: the backup.
        keys: the key ring.
        reach: makes its servers reached; `started`, if the caller has locked the folder.
    """
    if file.suffix != SUFFIX:
        raise CommandFailed(
            f"{file.name}: the file of a backup of Slipway ends in {SUFFIX}. A container is backed up with "
            "`slipway container backup CONTAINER`"
        )
    if keys is not None:
        refuse_existing(keys)
        _refuse_same(file, keys)
    ring = None
    with write_archive(file) as writer:
        async with reach(folder) as servers:
            ring = KeyRing.from_file(folder.key_ring)
            manifest = await _write(writer, folder, servers, ring)
        writer.finish(manifest)
        say("Reading it again, to see that it is whole ...")
    if keys is not None:
        write_whole(keys, folder.key_ring.read_text(encoding="utf-8"))
    _report(file, keys)
    return manifest


async def _write(writer: ArchiveWriter, folder: DataFolder, servers: Servers, ring: KeyRing) -> Manifest:
    created_at = now()
    consumers = await _positions(servers)
    schemas = await revisions(servers.postgres)
    installation = await _installation(servers)
    await _add(writer, DATABASE, dump(servers.postgres))
    streams = []
    for stream in STREAMS:
        async with read_snapshot(servers.bus, stream) as (described, chunks):
            await _add(writer, stream_part(stream), chunks)
        streams.append(StreamPart(name=stream, described=described))
    for path in _files(folder):
        with writer.part(f"files/{path.relative_to(folder.path)}") as write:
            write(path.read_bytes())
    return Manifest(
        version=version("slipway-standalone"),
        created_at=created_at,
        installation=installation,
        schemas=schemas,
        streams=streams,
        consumers=consumers,
        keys={name: _key_check(ring, name) for name in ring.keys},
        left_out=list(_LEFT_OUT),
    )


def stream_part(stream: str) -> str:
    """Return the name of a stream's part."""
    return f"streams/{stream}"


async def _add(writer: ArchiveWriter, name: str, pieces: AsyncGenerator[bytes, None]) -> None:
    with writer.part(name) as write:
        async with aclosing(pieces):
            async for piece in pieces:
                write(piece)
    say(f"  {name}: {writer.parts[-1].size_bytes / MIB:.1f} MiB")


async def _positions(servers: Servers) -> dict[str, int]:
    """Return the sequence with which each consumer of EVENTS goes on."""
    bus, positions = servers.bus.jetstream(), {}
    try:
        await bus.stream_info(EVENTS)
    except NotFoundError as error:
        raise CommandFailed(
            "Slipway has never started on this folder (a stream is missing): run `slipway up` once"
        ) from error
    for each in CONSUMERS:
        # One that an older build did not have begins anew, as after an upgrade.
        with suppress(NotFoundError):
            if each.stream == EVENTS:
                info = await bus.consumer_info(EVENTS, each.durable)
                positions[each.durable] = int(info.ack_floor.stream_seq) + 1
    return positions


async def _installation(servers: Servers) -> str | None:
    connection = await asyncpg.connect(servers.postgres.admin_url, timeout=10)
    try:
        return str(await connection.fetchval("select id from inventory.installation"))
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await connection.close()


def _files(folder: DataFolder) -> Sequence[Path]:
    places = (folder.path / name for name in FOLDERS)
    files = (path for place in places for path in sorted(place.rglob("*")))
    return [each for each in files if each.is_file() and not each.is_symlink() and each != folder.key_ring]


def _refuse_same(file: Path, keys: Path) -> None:
    if keys.resolve() == file.resolve():
        raise CommandFailed(f"{keys} would be backup and key ring: name two files, in different places")


def _key_check(ring: KeyRing, name: str) -> str:
    return Vault(KeyRing(name, ring.keys)).seal(KEY_CHECK, owner="backup", field=name)


def _report(file: Path, keys: Path | None) -> None:
    size = f"{file.stat().st_size / MIB:.1f} MiB"
    say(f"Wrote {file} ({size}). It holds tokens: keep it where only you can read it.")
    if keys is None:
        warn(
            "The KEY RING IS NOT IN IT, and without the key ring this backup can't be restored: no access to "
            "a cluster, no password of a container. Write it with --keys FILE, and keep it apart."
        )
    else:
        say(f"Wrote the KEY RING to {keys}. KEEP IT APART from the backup: both together open every secret.")
