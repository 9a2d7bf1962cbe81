"""What `demo-clean` refuses to remove."""

from pathlib import Path

import pytest

from slipway.standalone.cleaning import clean_demo, is_ours_alone, mark
from slipway.standalone.forks import ProcessFailed


def tree(folder: Path) -> list[Path]:
    """List everything in a folder."""
    return sorted(folder.rglob("*"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Somebody's folder, with a link to what is dear to him."""
    dear = tmp_path / "dear"
    dear.mkdir()
    (dear / "letters").touch()
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "link").symlink_to(dear)
    return folder


async def test_any_folder(home: Path) -> None:
    """A folder that the demo has not made is left as it is, and the error says why."""
    before = tree(home.parent)

    with pytest.raises(ProcessFailed, match=r"was not made by `slipway demo`.*nothing was changed"):
        await clean_demo(home)

    assert tree(home.parent) == before


async def test_folder_that_is_not_there(tmp_path: Path) -> None:
    """A mistyped name undoes nothing on this machine."""
    with pytest.raises(ProcessFailed, match=r"there is no .*; nothing was changed"):
        await clean_demo(tmp_path / "typo")


async def test_data_of_up(home: Path) -> None:
    """Neither the mark alone nor the secrets alone are enough."""
    mark(home)
    with pytest.raises(ProcessFailed, match="bootstrap-token"):
        await clean_demo(home)
    (home / "secrets").mkdir()
    (home / "secrets" / "bootstrap-token").touch()
    (home / "made-by-demo").unlink()

    with pytest.raises(ProcessFailed, match="made-by-demo"):
        await clean_demo(home)

    assert (home / "secrets" / "bootstrap-token").exists()


async def test_file(tmp_path: Path) -> None:
    """A file is no data folder."""
    (tmp_path / "file").touch()

    with pytest.raises(ProcessFailed, match="is not a folder"):
        await clean_demo(tmp_path / "file")


def test_only_new_folders_are_marked(home: Path) -> None:
    """`slipway demo --data ~` must not make a home removable."""
    assert not is_ours_alone(home)
    assert is_ours_alone(home / "new")
