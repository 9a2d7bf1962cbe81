"""What `slipway restore` refuses, before a byte is written; and a stream that goes through a file."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nats.aio.client import Client

from slipway.cli.errors import CommandFailed
from slipway.runtime.bus.stream_snapshot import read_snapshot, write_snapshot
from slipway.runtime.secrets.vault import KeyRing, Vault
from slipway.standalone.backup.archive import Manifest, write_archive
from slipway.standalone.backup.create import KEY_CHECK
from slipway.standalone.backup.restore import restore_backup


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


def test_a_backup_overwrites_nothing(tmp_path: Path) -> None:
    """Neither a file that exists, nor with half of one: what is given up leaves nothing."""
    (tmp_path / "old.slipway").touch()

    with pytest.raises(CommandFailed, match="exists"), write_archive(tmp_path / "old.slipway"):
        pass
    with pytest.raises(KeyboardInterrupt), write_archive(tmp_path / "new.slipway"):
        raise KeyboardInterrupt

    assert [each.name for each in tmp_path.iterdir()] == ["old.slipway"]


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
