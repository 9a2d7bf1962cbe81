"""The copy of the data before a migration: what is found of it after a kill at any moment."""

import shutil
from pathlib import Path

import pytest

from slipway.cli.errors import CommandFailed
from slipway.standalone.builds import own_build, store_build, stored_build
from slipway.standalone.folders import DataFolder
from slipway.standalone.upgrade.protect import protect, settle
from slipway.standalone.upgrade.safety import PARTS, SUFFIX, SafetyCopy


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """A data folder of an older build."""
    for name in PARTS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("before")
    return DataFolder(tmp_path)


async def test_killed_in_the_middle_of_a_migration(folder: DataFolder) -> None:
    """Others refuse the folder; the next start puts it back, and copies it again before it goes on."""
    await protect(data=str(folder.path))
    (folder.path / "postgres" / "file").write_text("half migrated")
    (folder.path / "secrets" / "new").touch()
    with pytest.raises(CommandFailed, match="was interrupted"):
        folder.take()

    await protect(data=str(folder.path))

    assert (folder.path / "postgres" / "file").read_text() == "before"
    assert not (folder.path / "secrets" / "new").exists()
    assert folder.upgrading.exists()


def test_killed_while_it_is_put_back(folder: DataFolder) -> None:
    """The next one goes on, wherever it was."""
    SafetyCopy(folder).make()
    shutil.rmtree(folder.path / "postgres")
    (folder.path / f"postgres{SUFFIX}").rename(folder.path / "postgres")
    shutil.rmtree(folder.path / "nats")

    SafetyCopy(folder).put_back()

    assert {(folder.path / name / "file").read_text() for name in PARTS} == {"before"}
    assert sorted(each.name for each in folder.path.iterdir()) == sorted(PARTS)


async def test_killed_while_it_is_copied(folder: DataFolder) -> None:
    """A copy without the mark is not whole, and never put back; a settled folder is not copied again."""
    (folder.path / f"nats{SUFFIX}").mkdir()
    await protect(data=str(folder.path))
    assert (folder.path / f"nats{SUFFIX}" / "file").exists()

    settle(folder)
    await protect(data=str(folder.path))

    assert not folder.upgrading.exists()
    assert not [*folder.path.glob(f"*{SUFFIX}")]


async def test_a_newer_build_is_refused(folder: DataFolder) -> None:
    """By its tables, and nothing is changed."""
    own = own_build()
    newer = {"version": own.version, "schemas": {**own.schemas, "inventory": "9999"}, "program": "/gone"}
    folder.build.write_text(str(newer).replace("'", '"'))

    with pytest.raises(CommandFailed, match="is of a newer Slipway"):
        await protect(data=str(folder.path))

    assert not [*folder.path.glob(f"*{SUFFIX}")]
    store_build(folder, own)
    assert stored_build(folder) == own
