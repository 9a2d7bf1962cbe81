"""Fixtures that every kind of test may ask for, and the rule that a required test is never skipped."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ("support.alpine", "support.nats", "support.postgres")

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

_REQUIRED = frozenset(filter(None, os.environ.get("SLIPWAY_TESTS_REQUIRED", "").split(",")))
"""Markers (`lxc,browser,root`) whose tests must run here: a skip of one is a failure."""

_STACK, _TWO_NODES = "tests/e2e", "tests/e2e/two_nodes"
"""Folders whose tests share a Slipway."""

_LONGEST_ID = 100
_LONGEST_FIRST = (
    "real",
    "stack",
    "page",
    _TWO_NODES,
    "tests/integration/test_installs_alone.py",
    "tests/e2e",
    "tests/chaos",
    "tests/contract/pve/test_recordings.py",
    "tests/integration",
)
"""Groups, or beginnings of them: begun in this order, the workers end together."""


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep on one worker what shares a Slipway, on another what runs on real containers, else each file.

    The tests of the page have a Slipway of their own: they take as long as all others that share one.
    """
    lxc = {item.path for item in items if item.get_closest_marker("lxc")}
    browser = {item.path for item in items if item.get_closest_marker("browser")}
    groups: dict[Path, str] = {}
    for path in {item.path for item in items}:
        here = path.relative_to(items[0].config.rootpath)
        folder = here.parent.as_posix()
        groups[path] = here.as_posix()
        if path in lxc:
            groups[path] = "real"
        elif folder == _STACK:
            groups[path] = "page" if path in browser else "stack"
        elif folder == _TWO_NODES:
            groups[path] = _TWO_NODES
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


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what only root may do."""
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("only root has another user to become, and may mount")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a required test into a failure that says why it was skipped."""
    report = yield
    required = _REQUIRED.intersection(mark.name for mark in item.iter_markers())
    if report.skipped and required:
        report.outcome = "failed"
        report.longrepr = f"required here ({', '.join(required)}), but skipped: {report.longrepr}"
    return report
