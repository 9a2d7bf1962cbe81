"""The data folder: taken once, and cleaned of what a killed `up` left."""

import subprocess
from pathlib import Path

import pytest

from slipway.standalone.folders import DataFolder, FolderInUse


def test_taken_once(tmp_path: Path) -> None:
    """A second `up` on the same folder is refused."""
    folder = DataFolder(tmp_path / "data")

    with folder.take(), pytest.raises(FolderInUse):
        folder.take()


def test_closed_to_others(tmp_path: Path) -> None:
    """The folder is its owner's alone."""
    folder = DataFolder(tmp_path / "data")

    folder.take().close()

    assert folder.path.stat().st_mode & 0o077 == 0


def test_leftovers(tmp_path: Path) -> None:
    """What was recorded and still runs is ended; a pid that is somebody else's by now is left alone."""
    folder = DataFolder(tmp_path)
    left, other = (subprocess.Popen(["sleep", "60"]) for _ in range(2))
    with folder.take():
        folder.record_pids({"nats": left.pid, "other": other.pid})
        recorded = (folder.run / "pids.json").read_text().replace(f'"pid": {other.pid}', '"pid": 1')
        (folder.run / "pids.json").write_text(recorded)

        ended = folder.end_leftovers()

    assert ended == ["nats"]
    assert left.wait(5) != 0
    assert other.poll() is None
    other.kill()
    other.wait()
