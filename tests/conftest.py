"""Fixtures that every kind of test may ask for, and the rule that a required test is never skipped."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ("support.nats", "support.postgres")

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

_REQUIRED = frozenset(filter(None, os.environ.get("SLIPWAY_TESTS_REQUIRED", "").split(",")))
"""Markers (`lxc,browser`) whose tests must run here: a skip of one is a failure."""

_LONGEST_ID = 100
_LONGEST_FIRST = (
    "stack",
    "lxc",
    "two nodes",
    "tests/chaos/test_chaos.py",
    "tests/integration/test_installs_alone.py",
    "tests/contract/pve/test_recordings.py",
    "tests/e2e/test_demo.py",
    "tests/chaos/test_found.py",
    "tests/integration",
    "tests/e2e",
)
"""Groups, or beginnings of them: begun in this order, the workers end together."""


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep on one worker what shares servers: each kind of stack, real containers, else each file."""
    shares = {
        "two nodes": {item.path for item in items if _uses(item, "two")},
        "stack": {item.path for item in items if _uses(item, "stack")},
        "lxc": {item.path for item in items if item.get_closest_marker("lxc")},
    }
    groups: dict[Path, str] = {}
    for path in {item.path for item in items}:
        names = [name for name, paths in shares.items() if path in paths]
        groups[path] = names[-1] if names else path.relative_to(items[0].config.rootpath).as_posix()
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item.path]))
    items.sort(key=lambda item: _rank(groups[item.path]))


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a huge value by its size: pytest hands a test's name to every process that the test starts."""
    if isinstance(val, str | bytes) and len(val) > _LONGEST_ID:
        return f"{len(val)} of {val[:1]!r}"
    return None


def _rank(group: str) -> int:
    ranks = (rank for rank, name in enumerate(_LONGEST_FIRST) if group.startswith(name))
    return next(ranks, len(_LONGEST_FIRST))


def _uses(item: pytest.Item, stack: str) -> bool:
    """Whether it uses a stack of `e2e/conftest.py`, not one of its own module."""
    if not isinstance(item, pytest.Function) or item.path.parent.name != "e2e":
        return False
    return stack in item.fixturenames and not hasattr(item.module, stack)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a required test into a failure that says why it was skipped."""
    report = yield
    required = _REQUIRED.intersection(mark.name for mark in item.iter_markers())
    if report.skipped and required:
        report.outcome = "failed"
        report.longrepr = f"required here ({', '.join(required)}), but skipped: {report.longrepr}"
    return report
