"""The command alone in an empty environment, as it is installed on a laptop."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from support.uv import uv

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[3]
PARTS = ("contracts", "libs/client", "cli")
MOST_PACKAGES = 23
"""With pip itself they are fewer than 25."""
RUNS = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the command in it, installed from the checkout."""
    folder = tmp_path_factory.mktemp("alone")
    uv("venv", "--clear", "--python", sys.executable, str(folder))
    python = str(folder / "bin" / "python")
    uv("pip", "install", "--no-sources", "--python", python, *(f"./{part}" for part in PARTS))
    return folder


def test_few_packages(folder: Path) -> None:
    """It brings no server, and few packages."""
    listing = uv("pip", "list", "--format", "json", "--python", str(folder / "bin" / "python"))

    names = {package["name"].lower() for package in json.loads(listing)}
    assert len(names) <= MOST_PACKAGES, sorted(names)
    assert names & {"nats-py", "sqlalchemy", "asyncssh", "fastapi", "slipway-runtime", "slipway-lab"} == set()


def test_version_is_cheap(folder: Path) -> None:
    """`slipway --version` takes at most twice the CPU time of `import httpx`."""
    version = cpu_seconds(str(folder / "bin" / "slipway"), "--version")
    httpx = cpu_seconds(str(folder / "bin" / "python"), "-c", "import httpx")

    assert version <= 2 * httpx


def test_commands_of_the_host_are_explained(folder: Path) -> None:
    """Without slipway-standalone, `up` says where it comes from."""
    command = [str(folder / "bin" / "slipway"), "up"]
    process = subprocess.run(command, check=False, capture_output=True, text=True)

    assert process.returncode == 1
    assert "slipway-standalone is not installed" in process.stderr


def cpu_seconds(*command: str) -> float:
    """Return the CPU time of a command, the least of some runs."""
    return min(_cpu_seconds(command) for _ in range(RUNS))


def _cpu_seconds(command: tuple[str, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
