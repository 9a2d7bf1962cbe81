"""The set-up of a fresh clone, with a Python that can't make virtual environments, as Debian's alone."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HALF = "mkdir -p .venv/bin; printf '#!/bin/sh\\nexit 1\\n' > .venv/bin/python; chmod +x .venv/bin/python"
WHOLE = 'mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/uv; exit 0'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `make setup` looks at, of a clone."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for path in ROOT.glob("*/**/pyproject.toml"):
        if ".venv" not in path.parts:
            (tmp_path / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path.relative_to(ROOT)).touch()
    for name in ("pyproject.toml", "requirements.lock"):
        (tmp_path / name).touch()
    return tmp_path


def setup(clone: Path, *, python: str) -> "subprocess.CompletedProcess[str]":
    """Run `make setup` with a Python that does this."""
    program = clone / "python"
    program.write_text(f"#!/bin/sh\n{python}\n")
    program.chmod(0o755)
    return make(clone, "setup", f"PYTHON={program}")


def make(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run make as from a person's shell, also where `make test` runs these tests."""
    others = {"DATA", "PORT", "ONCE", "VERBOSE", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"}
    environment = {name: value for name, value in os.environ.items() if name not in others}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, check=False, capture_output=True, text=True
    )


def test_without_venv(clone: Path) -> None:
    """It says which package is missing, and leaves nothing that the next run would stumble over."""
    failed = setup(clone, python=f"{HALF}; exit 1")

    assert failed.returncode != 0
    assert "apt install python3-venv" in failed.stderr
    assert not (clone / ".venv").exists()


def test_half_made(clone: Path) -> None:
    """An environment without pip, which an earlier run left, is made anew."""
    subprocess.run(["sh", "-c", HALF], cwd=clone, check=True)

    done = setup(clone, python=WHOLE)

    assert done.returncode == 0, done.stderr
    assert (clone / ".venv" / ".ready").exists()


def test_setup_shows_its_progress(clone: Path) -> None:
    """Each of its parts is announced before it begins: all of it takes most of a minute."""
    done = setup(clone, python=WHOLE)

    assert [line[:5] for line in done.stdout.splitlines() if line.startswith("[")] == [
        "[1/4]",
        "[2/4]",
        "[3/4]",
        "[4/4]",
    ]


@pytest.mark.parametrize(
    ("target", "variables", "command"),
    [
        ("demo", ["DATA=/a b"], 'slipway demo --data "/a b"'),
        ("demo", [], "slipway demo"),
        ("demo", ["DATA=/x", "ONCE=1"], 'slipway demo --data "/x" --once'),
        ("demo-clean", ["DATA=/x"], 'slipway demo-clean --data "/x"'),
        ("up", ["DATA=/x", "PORT=1", "VERBOSE=1"], 'slipway up --data "/x" --port "1" --verbose'),
    ],
)
def test_variables_reach_the_command(target: str, variables: list[str], command: str) -> None:
    """The demo has a folder of its own unless one is named."""
    shown = make(ROOT, "--dry-run", "--assume-old=.venv/.ready", target, *variables)

    assert shown.returncode == 0, shown.stderr
    assert " ".join(shown.stdout.splitlines()[-1].split()) == f".venv/bin/{command}"
