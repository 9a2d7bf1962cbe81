"""The house is built as ARCHITECTURE.md says."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PARTS = sorted(p.parent for p in ROOT.glob("*/pyproject.toml")) + sorted(
    p.parent for p in ROOT.glob("*/*/pyproject.toml")
)
SOURCES = sorted(file for part in PARTS for file in part.glob("src/slipway/**/*.py"))
ROOMS = {
    "__init__", "__main__", "app", "settings", "handlers", "domain", "store", "tables", "migrations",
    "pipelines", "phases", "runs", "worker", "progress", "access", "poller", "diff", "probes", "schedule",
    "facts", "scanner", "manifest", "bundle", "http", "relay", "stream", "clients", "auth", "permissions",
    "web", "rules",
}  # fmt: skip
BANNED = {"utils", "helpers", "common", "misc", "base", "manager", "processor", "data", "info", "dto"}


def test_slipway_is_a_namespace() -> None:
    """No part owns `slipway` itself, so that each installs alone."""
    assert [part for part in PARTS if (part / "src/slipway/__init__.py").exists()] == []


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_module_says_what_it_is(file: Path) -> None:
    """Every module opens with a docstring, and its name says what it holds."""
    tree = ast.parse(file.read_text())

    assert ast.get_docstring(tree) or "migrations" in file.parts
    assert not BANNED.intersection(re.split(r"[_.]", file.stem))


@pytest.mark.parametrize("service", sorted((ROOT / "services").iterdir()), ids=lambda path: path.name)
def test_service_has_only_known_rooms(service: Path) -> None:
    """The same rooms in each service: who knows one knows all."""
    rooms = {path.stem for path in (service / "src/slipway" / service.name).iterdir() if path.name[0] != "."}

    assert rooms - ROOMS - {"py", "__pycache__"} <= set(_more_rooms(service.name))


def _more_rooms(service: str) -> tuple[str, ...]:
    line = re.search(rf"^- {service}: (.+)$", (ROOT / "docs/notes/rooms.md").read_text(), re.MULTILINE)
    return tuple(re.findall(r"`([a-z_]+)`", line.group(1))) if line else ()


def test_domains_do_nothing_but_decide() -> None:
    """A domain has no clock, no I/O and nothing asynchronous."""
    domains = [file for file in SOURCES if "/domain" in str(file) or "/rules" in str(file)]
    banned = (
        "async def",
        "await ",
        "open(",
        "asyncio",
        "sqlalchemy",
        "datetime.now",
        "time.time",
        "secrets.",
    )

    guilty = [(str(file), word) for file in domains for word in banned if word in file.read_text()]

    assert guilty == []


def test_only_runs_commits_records() -> None:
    """One room writes run records."""
    writers = [file.name for file in SOURCES if re.search(r"bus\.commit\(", file.read_text())]

    assert set(writers) <= {"runs.py"}


def test_lock_has_hashes_and_no_addresses() -> None:
    """The lock installs anywhere: hashes for each file, no registry named."""
    lock = (ROOT / "requirements.lock").read_text()

    assert "://" not in lock
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=[a-z0-9])", lock))


def test_parts_are_members_of_one_workspace() -> None:
    """The root knows every part, and all have one version."""
    versions = {tomllib.loads((part / "pyproject.toml").read_text())["project"]["version"] for part in PARTS}

    assert len(PARTS) == 10
    assert len(versions) == 1
