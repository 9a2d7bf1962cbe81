"""The offline bundle's `install.sh`: what was changed on the way is not installed."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "infra/bundle/install.sh"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle for this Python, with one wheel that says nothing."""
    folder = tmp_path / "bundle"
    (folder / "wheels").mkdir(parents=True)
    shutil.copy(SCRIPT, folder)
    (folder / "python").write_text(f"{sys.version_info.major}.{sys.version_info.minor}\n")
    (folder / "requirements.txt").write_text("")
    (folder / "wheels" / "a-1-py3-none-any.whl").write_text("a wheel\n")
    files = [each for each in sorted(folder.rglob("*")) if each.is_file()]
    sums = (
        f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.relative_to(folder)}\n" for each in files
    )
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder


def install(bundle: Path, target: str) -> "subprocess.CompletedProcess[str]":
    """Run it, with no home to put anything into."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [str(bundle / "install.sh"), target],
        env={"PATH": path, "HOME": str(bundle.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ("wheels/a-1-py3-none-any.whl", "the bundle is damaged or was changed"),
        ("requirements.txt", "the bundle is damaged or was changed"),
        ("wheels/more-1-py3-none-any.whl", "there are files in wheels/ that SHA256SUMS does not name"),
    ],
)
def test_a_changed_bundle_is_not_installed(bundle: Path, changed: str, reason: str) -> None:
    """A file that differs, or one that the sums do not know."""
    with (bundle / changed).open("a") as file:
        file.write("something else\n")

    done = install(bundle, str(bundle.parent / "program"))

    assert done.returncode == 1
    assert f"install: {reason}: nothing was installed" in done.stderr
    assert not (bundle.parent / "program").exists()


def test_another_python_and_half_a_path_are_refused(bundle: Path) -> None:
    """Before anything is looked at."""
    half = install(bundle, "program")
    (bundle / "python").write_text("3.1\n")
    other = install(bundle, str(bundle.parent / "program"))

    assert half.stderr == "install: give the folder's whole path, not 'program'\n"
    assert other.stderr == "install: this bundle is for Python 3.1, which is not on this machine\n"
