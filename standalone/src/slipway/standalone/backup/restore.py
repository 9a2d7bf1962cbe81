"""`slipway restore`: a backup becomes a data folder again, in which Slipway is paused.

Everything is checked before a byte is written. What is half done is marked, so that no `up` ever starts on
it: `DataFolder.take` refuses a folder with the mark.
"""

import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from nats.js.api import DeliverPolicy

from slipway.cli.errors import CommandFailed
from slipway.cli.terminal import say
from slipway.inventory.installation.restored import pause_restored
from slipway.runtime.bus.stream_snapshot import CHUNK_BYTES, write_snapshot
from slipway.runtime.errors import SecretUnreadable
from slipway.runtime.process.settings import DatabaseSettings
from slipway.runtime.secrets.vault import KeyRing, Vault
from slipway.runtime.topology.declared import CONSUMERS, EVENTS, TopologySettings, consumer
from slipway.runtime.topology.identities import generate
from slipway.standalone.backup.archive import FORMAT, Manifest, NoBackup, open_archive, pieces, verify
from slipway.standalone.backup.create import DATABASE, KEY_CHECK, stream_part
from slipway.standalone.backup.databases import load
from slipway.standalone.backup.servers import Servers, started
from slipway.standalone.builds import is_newer, is_too_old
from slipway.standalone.declare import declare_databases
from slipway.standalone.embedded import shared
from slipway.standalone.folders import DataFolder, write_whole


class NotEmpty(CommandFailed):
    """The folder has something in it."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it."""

    manifest: Manifest
    folder: DataFolder


async def restore_backup(file: Path, keys: Path, data: Path) -> Restored:
    """Restore a backup into an empty folder.

    Raises:
        CommandFailed: says what does not fit; before anything is written.
    """
    say(f"Checking {file} ...")
    manifest = verify(file)
    refuse_version(manifest)
    ring = _fitting(keys, manifest)
    _refuse_used(data)
    folder = DataFolder(data)
    was_there = data.exists()  # noqa: ASYNC240 - nothing else runs in this loop
    try:
        with open_archive(file) as (archive, _):
            await _restore(archive, manifest, folder, ring)
    except BaseException:
        _empty(data, was_there=was_there)
        raise
    return Restored(manifest, folder)


def refuse_version(manifest: Manifest) -> None:
    """Raise if a backup is of a newer Slipway, or of one too old."""
    if manifest.format > FORMAT or is_newer(manifest.version, manifest.schemas):
        raise NoBackup(
            f"the backup is of a newer Slipway ({manifest.version}) than this one "
            f"({version('slipway-standalone')}): install that version, then restore"
        )
    if is_too_old(manifest.version):
        raise NoBackup(
            f"the backup is of Slipway {manifest.version}, more than one version before this one: restore it "
            "with that version, then upgrade"
        )


async def _restore(archive: zipfile.ZipFile, manifest: Manifest, folder: DataFolder, keys: str) -> None:
    folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(folder.unfinished, "A restore has not ended here.\n")
    with folder.take(is_restoring=True):
        _write_files(archive, folder)
        write_whole(folder.key_ring, keys)
        generate(folder.identities)
        async with started(folder, is_durable=False) as servers:
            say("  the database ...")
            await load(servers.postgres, pieces(archive, DATABASE))
            urls = await declare_databases(servers.postgres.admin_url)
            settings = DatabaseSettings(database_url=urls["inventory"], database_schema="inventory")
            await pause_restored(settings, backup_at=manifest.created_at)
            await _restore_streams(archive, manifest, servers)
        folder.unfinished.unlink()


async def _restore_streams(archive: zipfile.ZipFile, manifest: Manifest, servers: Servers) -> None:
    for stream in manifest.streams:
        say(f"  {stream.name} ...")
        chunks = pieces(archive, stream_part(stream.name), CHUNK_BYTES)
        messages = await write_snapshot(servers.bus, stream.name, stream.described, chunks)
        if messages != stream.described["state"]["messages"]:
            raise CommandFailed(f"the bus took {messages} messages of {stream.name}, and there were others")
    bus, settings = servers.bus.jetstream(), TopologySettings()
    known = {each.durable for each in CONSUMERS}
    for durable, sequence in manifest.consumers.items():
        if durable not in known:
            # Of the version before; nobody here would read it.
            continue
        config = consumer(durable).config(settings)
        config.deliver_policy, config.opt_start_seq = DeliverPolicy.BY_START_SEQUENCE, sequence
        await bus.add_consumer(EVENTS, config)


def _write_files(archive: zipfile.ZipFile, folder: DataFolder) -> None:
    for name in archive.namelist():
        if not name.startswith("files/"):
            continue
        path = folder.path / name.removeprefix("files/")
        if not path.resolve().is_relative_to(folder.path.resolve()):
            raise NoBackup(f"the backup holds a path that leads elsewhere: {name}")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as written:
            written.write(archive.read(name))


def _fitting(keys: Path, manifest: Manifest) -> str:
    """Return the key ring's text if it opens everything that the backup's keys have sealed."""
    ring = KeyRing.from_file(keys)
    for name, sealed in manifest.keys.items():
        try:
            opened = Vault(ring).open(sealed, owner="backup", field=name)
        except SecretUnreadable as error:
            raise CommandFailed(
                f"{keys} does not fit this backup: it lacks the key {name}, or has another one of that name. "
                "Take the key ring that was written with the backup, or after it"
            ) from error
        if opened != KEY_CHECK:
            raise CommandFailed(f"{keys} does not fit this backup: its key {name} opens something else")
    return keys.read_text(encoding="utf-8")


def _refuse_used(data: Path) -> None:
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise NotEmpty(
            f"{data} is not an empty folder: a backup is restored into an empty one only; nothing was changed"
        )


def _empty(data: Path, *, was_there: bool) -> None:
    """Remove what a restore that failed has written, also what root keeps for the folder elsewhere."""
    if os.geteuid() == 0:
        shared.remove_place(data)
    for each in data.iterdir() if data.is_dir() else ():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each, ignore_errors=True)
        else:
            each.unlink(missing_ok=True)
    if not was_there and data.is_dir():
        data.rmdir()


def describe(manifest: Manifest) -> Mapping[str, str]:
    """Return what `backup --check` prints of a backup."""
    size = sum(part.size_bytes for part in manifest.parts)
    return {
        "version": manifest.version,
        "created_at": manifest.created_at.isoformat(timespec="seconds"),
        "installation": manifest.installation or "-",
        "schemas": ", ".join(f"{name} {revision}" for name, revision in manifest.schemas.items()),
        "streams": ", ".join(
            f"{each.name} ({each.described['state']['messages']} messages)" for each in manifest.streams
        ),
        "keys": ", ".join(manifest.keys),
        "parts": f"{len(manifest.parts)}, {size / 2**20:.1f} MiB, all as they were written",
        "not in it": "; ".join(manifest.left_out),
    }
