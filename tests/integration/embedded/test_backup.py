"""What `slipway restore` refuses, before a byte is written; and a stream that goes through a file."""

import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from nats.aio.client import Client

from slipway.cli.errors import CommandFailed
from slipway.runtime.bus.stream_snapshot import read_snapshot, write_snapshot
from slipway.runtime.secrets.vault import KeyRing, Vault
from slipway.standalone.backup.archive import Manifest, NoBackup, verify, write_archive
from slipway.standalone.backup.create import KEY_CHECK, create_backup
from slipway.standalone.backup.databases import dump
from slipway.standalone.backup.restore import restore_backup
from slipway.standalone.embedded.postgres import EmbeddedPostgres
from slipway.standalone.folders import DataFolder
from support.folders import open_folder


def made(folder: Path, ring: KeyRing, **changes: object) -> Path:
    """Write a backup with one part."""
    file = folder / "one.slipway"
    checks = {
        name: Vault(KeyRing(name, ring.keys)).seal(KEY_CHECK, owner="backup", field=name)
        for name in ring.keys
    }
    described = {"version": "0.1.0", "created_at": datetime.now(UTC), "schemas": {}, "keys": checks}
    with write_archive(file) as writer:
        with writer.part("database.pgdump") as write:
            write(b"rows" * 1000)
        writer.finish(Manifest.model_validate(described | changes))
    return file


def damage(file: Path, _folder: Path) -> None:
    content = bytearray(file.read_bytes())
    content[content.index(b"rowsrows")] ^= 1
    file.write_bytes(content)


def cut(file: Path, _folder: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def use(_file: Path, folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "something").touch()


def swap_keys(_file: Path, folder: Path) -> None:
    KeyRing.create(folder / "keys.json")


@pytest.mark.parametrize(
    ("change", "reason"),
    [(damage, "whole"), (cut, "whole"), (use, "empty"), (swap_keys, "does not fit")],
)
async def test_what_does_not_fit_is_refused(
    tmp_path: Path, change: Callable[[Path, Path], None], reason: str
) -> None:
    """It says why, and nothing was written."""
    file = made(tmp_path, KeyRing.create(tmp_path / "keys.json"))
    change(file, tmp_path)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(CommandFailed, match=reason):
        await restore_backup(file, tmp_path / "keys.json", tmp_path / "data")

    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": "9.0.0"}, "newer"),
        ({"schemas": {"inventory": "9999"}}, "newer"),
        ({"format": 99}, "newer"),
    ],
)
async def test_a_newer_one_is_refused(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    """By its version, its tables or its form: this build would read it wrong."""
    file = made(tmp_path, KeyRing.create(tmp_path / "keys.json"), **changes)

    with pytest.raises(CommandFailed, match=reason):
        await restore_backup(file, tmp_path / "keys.json", tmp_path / "data")

    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "x"},
        {"consumers": {"inventory-records": 0}},
        {"streams": [{"name": "E", "described": {}}]},
    ],
)
def test_a_manifest_that_says_too_little_is_no_backup(tmp_path: Path, changes: dict[str, object]) -> None:
    """It is found when it is read, not by a restore in its middle."""
    file = made(tmp_path, KeyRing.create(tmp_path / "keys.json"))
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        manifest = json.loads(content.pop("manifest.json")) | changes
        for name, data in [*content.items(), ("manifest.json", json.dumps(manifest).encode())]:
            archive.writestr(name, data)

    with pytest.raises(NoBackup, match="not a whole backup"):
        verify(file)


async def test_a_backup_is_not_its_own_key_ring(tmp_path: Path) -> None:
    """The second that is written would replace the first."""
    file = tmp_path / "one.slipway"

    with pytest.raises(CommandFailed, match="two files"):
        await create_backup(DataFolder(tmp_path / "data"), file, file)

    assert not file.exists()


def test_a_backup_overwrites_nothing(tmp_path: Path) -> None:
    """Neither a file that exists, nor with half of one: what is given up leaves nothing."""
    (tmp_path / "old.slipway").touch()

    with pytest.raises(CommandFailed, match="exists"), write_archive(tmp_path / "old.slipway"):
        pass
    with pytest.raises(KeyboardInterrupt), write_archive(tmp_path / "new.slipway"):
        raise KeyboardInterrupt

    assert [each.name for each in tmp_path.iterdir()] == ["old.slipway"]


async def test_a_dump_that_nobody_reads_to_its_end_is_ended() -> None:
    """The disk is full, for example: that is said, and not that the dump was broken off."""
    with open_folder("dump", in_memory=True) as folder:
        postgres = EmbeddedPostgres(folder)
        postgres.start()
        try:
            connection = await asyncpg.connect(postgres.admin_url, timeout=30)
            much = "create table much as select md5(n::text) from generate_series(1, 300000) n"
            await connection.execute(much)
            await connection.close()
            pieces = dump(postgres)
            await anext(pieces)
            with pytest.raises(OSError, match="full"):
                await pieces.athrow(OSError("full"))
        finally:
            postgres.stop()


@pytest.mark.usefixtures("nats_server")
async def test_a_restored_stream_goes_on_where_it_stood(admin: Client) -> None:
    """Sequences and headers are those of before, so that fences and the places of readers hold."""
    bus = admin.jetstream()
    for number in range(3):
        await bus.publish(f"slipway.v1.event.job.j{number}.done", b"x" * 200_000, headers={"n": str(number)})
    await bus.delete_msg("EVENTS", 1)

    async with read_snapshot(admin, "EVENTS") as (described, arriving):
        chunks = [chunk async for chunk in arriving]
    await bus.delete_stream("EVENTS")
    messages = await write_snapshot(admin, "EVENTS", described, chunks)

    state = (await bus.stream_info("EVENTS")).state
    assert (messages, state.first_seq, state.last_seq) == (2, 2, 3)
    message = await bus.get_msg("EVENTS", seq=3)
    assert (message.headers or {})["n"] == "2"
