"""`slipway uninstall` removes what Slipway has made, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from slipway.standalone.embedded.process import account_for
from slipway.standalone.embedded.shared import own_folder
from slipway.standalone.folders import DataFolder
from slipway.standalone.keys import make_keys
from slipway.standalone.systemd.service import is_own_unit
from slipway.standalone.uninstall.ownership import remove_most


@pytest.fixture
async def folder(tmp_path: Path) -> DataFolder:
    """A data folder of a Slipway that was stopped."""
    folder = DataFolder(tmp_path / "data")
    folder.take().close()
    await make_keys(data=str(folder.path))
    return folder


def uninstall(path: Path, *options: str) -> tuple[int, str]:
    """Run the command; return its exit status and all that it wrote."""
    command = (sys.executable, "-m", "slipway.cli", "uninstall", "--data", str(path), *options)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("option", ["--plan", "--yes"])
def test_a_folder_of_another_program_is_left_alone(tmp_path: Path, option: str) -> None:
    """Others have a folder `secrets/` too; not even a plan makes anything there."""
    token = tmp_path / "secrets" / "bootstrap-token"
    token.parent.mkdir()
    token.write_text("of another program")

    status, output = uninstall(tmp_path, option)

    assert (status, "is not a data folder of Slipway" in output) == (1, True), output
    assert sorted(tmp_path.rglob("*")) == [token.parent, token]


async def test_what_others_put_into_it_stays(folder: DataFolder) -> None:
    """The data folder may be one that somebody uses for more; the plan says what stays, and that only."""
    folder.build.write_text("{}")
    (folder.path / "letters").mkdir()
    (folder.path / "letters" / "dear").touch()

    _, planned = uninstall(folder.path, "--plan")
    status, output = uninstall(folder.path, "--yes")

    assert f"leave in {folder.path} what Slipway has not made: letters\n" in planned
    assert (status, "letters in it is not Slipway's" in output) == (0, True), output
    assert [each.name for each in folder.path.iterdir()] == ["letters"]


async def test_one_that_was_interrupted_is_run_again(folder: DataFolder) -> None:
    """Of the database only a part is left: it is not started, and the rest goes."""
    (folder.path / "postgres" / "cluster").mkdir(parents=True)
    (folder.path / "postgres" / "cluster" / "PG_VERSION").touch()
    remove_most(folder)
    (folder.path / "postgres" / "cluster").mkdir(parents=True)

    status, output = uninstall(folder.path, "--yes")

    assert status == 0, output
    assert not folder.path.exists()


@pytest.mark.root
async def test_what_lies_elsewhere_is_shown_and_goes(folder: DataFolder) -> None:
    """Root's servers have their files where their user can reach them, outside of a closed data folder."""
    folder.path.chmod(0o700)
    elsewhere = own_folder(folder.path, "nats", account_for(folder.path))

    _, planned = uninstall(folder.path, "--plan")
    status, output = uninstall(folder.path, "--yes")

    assert f"remove {elsewhere.parent}, where" in planned
    assert f"the checkout {Path(__file__).parents[3]}, a folder to remove" in output
    assert (status, elsewhere.exists()) == (0, False), output


def test_a_unit_of_somebody_else_is_not_ours(tmp_path: Path) -> None:
    """Only what an installation has written is overwritten or removed."""
    unit = tmp_path / "slipway.service"
    assert not is_own_unit(unit)

    unit.write_text("[Unit]\nDescription=Slipway, packaged by somebody else\n")

    assert not is_own_unit(unit)
