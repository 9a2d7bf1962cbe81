"""`slipway upgrade` by a build after this one: to its end, or back to where it was."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.folders import open_folder
from support.older_build import later_build
from support.stack import running_stack, stack_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
GOOD = 'op.execute("create table more (id text)")'
BAD = 'op.execute("alter table jobs rename to tasks"); op.execute("alter table nothing add id text")'


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """A data folder that this build has used, and on which nothing runs."""
    with stack_folder() as folder:
        with running_stack(data=folder):
            pass
        yield folder


@pytest.fixture
def builds() -> Iterator[Path]:
    """A folder for other builds."""
    with open_folder("later") as folder:
        yield folder


def test_a_failed_migration_puts_the_data_back(data: Path, builds: Path) -> None:
    """Every file is as it was; the error is shown, and how to go on with this build."""
    before = digests(data)

    done = slipway(later_build(builds, BAD), "upgrade", data)

    assert done.returncode == 2, done.stderr
    assert 'relation "nothing" does not exist' in done.stderr
    assert f"/slipway up --data {data}`" in done.stderr
    assert digests(data) == before


def test_there_is_no_way_back_to_an_older_build(data: Path, builds: Path) -> None:
    """The later one upgrades what runs, with a backup; then this one refuses, by both of its commands."""
    python = later_build(builds, GOOD)
    with running_stack(data=data) as stack:
        done = slipway(python, "upgrade", data)
        assert stack.process.wait(30) == 0

    again = [slipway(Path(sys.executable), command, data) for command in ("up", "upgrade")]

    assert done.returncode == 0, done.stderr
    assert "9001" in (data / "build.json").read_text()
    assert [*(data / "backups").glob("*.keys.json")]
    assert [each.returncode for each in again] == [2, 2]
    assert all("is of a newer Slipway" in each.stderr for each in again)


def slipway(python: Path, command: str, data: Path) -> "subprocess.CompletedProcess[str]":
    """Run a build's command on the folder, to its end."""
    words = [str(python), "-m", "slipway.cli", command, "--data", str(data)]
    port = ["--port", "0"] if command == "up" else []
    return subprocess.run([*words, *port], capture_output=True, text=True, check=False, timeout=200)


def digests(data: Path) -> dict[str, str]:
    """Return what is in each file that an upgrade may change; a server's own notes of its run are not."""
    names = ("postgres/cluster", "nats/jetstream", "secrets", "identities")
    folders = [(data / name).resolve() for name in names]
    files = [each for folder in folders for each in sorted(folder.rglob("*")) if each.is_file()]
    files.append(data / "build.json")
    return {str(each): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}
