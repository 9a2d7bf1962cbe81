"""The tree is as ARCHITECTURE.md says."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PARTS = sorted(p.parent for p in ROOT.glob("*/pyproject.toml")) + sorted(
    p.parent for p in ROOT.glob("*/*/pyproject.toml")
)
SOURCES = sorted(file for part in PARTS for file in part.glob("src/slipway/**/*.py"))
RETIRED = re.compile(
    r"(?<![A-Za-z])(story|stories|untold|kept|keeping|heed|resting|aftermath|patience|persist|intake|take_in"
    r"|custody|presence|absence|trial|trouble|parked|rehearsal|explaining|sorting|endings|observing"
    r"|second_try|workbench|unbroken|outlook|surprises|trail|rooms|house|pulse|sulk|disbelief)(?![a-z])",
    re.IGNORECASE,
)
"""Words of the first build, and what took their place: see the glossary."""
READ = ("*.py", "*.js", "*.css", "*.html", "*.md", "*.toml", "*.yaml", "*.yml", "*.sh", "Makefile")
EXEMPT = (
    "tests/unit/layout/test_layout.py",
    "runtime/topology/renamed.py",
    "runtime/test_topology.py",
    "inventory/test_migrations.py",
    "e2e/own_stack/test_upgrade.py",
    "LICENSE",
)
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


def test_no_retired_word() -> None:
    """What has got a plain name is called by it everywhere: code, messages, pages and docs."""
    shown = [
        path
        for path in subprocess.run(
            ["git", "ls-files", *READ], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
        if "/migrations/" not in path and not path.endswith(tuple(EXEMPT))
    ]
    guilty = [
        f"{path}:{number}: {match[0]}"
        for path in shown
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
        if (match := RETIRED.search(line))
    ]

    assert guilty == []


def test_domains_do_nothing_but_decide() -> None:
    """A domain has no clock, no I/O and nothing asynchronous; inventory's rules are held by import-linter."""
    domains = [file for file in SOURCES if "/domain" in str(file)]
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
    """One module writes run records."""
    writers = [file.name for file in SOURCES if re.search(r"bus\.commit\(", file.read_text())]

    assert set(writers) <= {"records.py"}


def test_lock_has_hashes_and_no_addresses() -> None:
    """The lock installs anywhere: hashes for each file, no registry named."""
    lock = (ROOT / "requirements.lock").read_text()

    assert "://" not in lock
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=[a-z0-9])", lock))


def test_parts_are_members_of_one_workspace() -> None:
    """The root knows every part, and all have one version."""
    versions = {tomllib.loads((part / "pyproject.toml").read_text())["project"]["version"] for part in PARTS}

    assert len(PARTS) == 12
    assert len(versions) == 1
