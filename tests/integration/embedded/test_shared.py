"""What root keeps outside of a data folder that others can't reach: whose it is, and when it goes."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.standalone.embedded import shared
from slipway.standalone.embedded.process import EmbeddedFailure, account_for
from slipway.standalone.embedded.shared import own_folder, remove_place, remove_unused
from support.folders import open_folder

pytestmark = pytest.mark.root


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder that is root's alone, with a place for its servers' files that is the test's alone."""
    with open_folder("shared") as folder:
        monkeypatch.setattr(shared, "SHARED", folder / "lib")
        data = folder / "data"
        data.mkdir(mode=0o700)
        yield data


def stored(data: Path, name: str = "nats") -> Path:
    """Return the folder that a server gets."""
    return own_folder(data, name, account_for(data))


def test_new_folder_at_the_same_path(closed: Path) -> None:
    """A data folder that was removed and made anew finds nothing of the former one's data."""
    (stored(closed) / "stream").touch()
    shutil.rmtree(closed)
    closed.mkdir(mode=0o700)

    place = stored(closed)

    assert list(place.iterdir()) == []


def test_moved(closed: Path) -> None:
    """A data folder that was moved keeps its data."""
    (stored(closed) / "stream").touch()
    moved = closed.rename(closed.with_name("moved"))

    assert (stored(moved) / "stream").exists()
    assert remove_place(moved) == [stored(moved).parent]


def test_copied(closed: Path) -> None:
    """A copy of a data folder does not get at the data of the first one."""
    stored(closed)
    copy = closed.with_name("copy")
    shutil.copytree(closed, copy, symlinks=True)

    with pytest.raises(EmbeddedFailure, match="is a copy of"):
        stored(copy)


def test_closed_later(closed: Path) -> None:
    """What lay in a folder that others could reach moves when it is closed to them."""
    closed.chmod(0o755)
    (stored(closed) / "stream").touch()
    closed.chmod(0o700)

    place = stored(closed)

    assert (place / "stream").stat().st_uid == account_for(closed).uid
    assert (closed / "nats").readlink() == place == stored(closed)


def test_named_by_its_path(closed: Path) -> None:
    """A folder whose place was named by its path, as it was once, keeps it."""
    former = stored(closed)
    name = hashlib.sha256(str(closed.resolve()).encode()).hexdigest()[:12]
    (former.parent / "data-folder").unlink()
    former.parent.rename(shared.SHARED / name)
    (closed / "place-id").unlink()
    (closed / "nats").unlink()
    (closed / "nats").symlink_to(shared.SHARED / name / "nats")

    assert stored(closed) == shared.SHARED / name / "nats"


def test_foreign_link(closed: Path) -> None:
    """A link that somebody else made is neither followed nor replaced."""
    (closed / "nats").symlink_to(closed.parent)

    with pytest.raises(EmbeddedFailure, match="remove the link"):
        stored(closed)


def test_removed(closed: Path) -> None:
    """All of a folder's place goes, also what a former folder at this path left, and nobody else's."""
    other = closed.with_name("other")
    other.mkdir(mode=0o700)
    theirs = stored(other)
    stored(closed)
    shutil.rmtree(closed)
    closed.mkdir(mode=0o700)
    for name in ("nats", "postgres"):
        stored(closed, name)
    copy = shared.SHARED / "programs" / "0123456789ab"
    copy.mkdir(parents=True)
    (shared.SHARED / "0123456789ab").mkdir()

    removed = remove_place(closed)
    unused = remove_unused()

    assert len(removed) == 2
    assert unused == [copy, shared.SHARED / "0123456789ab"]
    assert list(shared.SHARED.iterdir()) == [theirs.parent]


def test_programs_that_run_stay(closed: Path) -> None:
    """A copy of a program that runs is not removed."""
    copy = shared.SHARED / "programs" / "0123456789ab"
    copy.mkdir(parents=True)
    shutil.copy2("/bin/sleep", copy / "sleep")
    pid = os.posix_spawn(copy / "sleep", ["sleep", "60"], {})

    removed = remove_unused()

    os.kill(pid, 9)
    os.waitpid(pid, 0)
    assert removed == []
    assert closed.exists()
