"""Fixtures that every kind of test may ask for, and the rule that a required test is never skipped."""

import os
from collections.abc import Generator

import pytest

pytest_plugins = ("support.nats", "support.postgres")

_REQUIRED = frozenset(filter(None, os.environ.get("SLIPWAY_TESTS_REQUIRED", "").split(",")))
"""Markers (`lxc,browser`) whose tests must run here: a skip of one is a failure."""

_LONGEST_ID = 100


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep on one worker what shares servers: one stack end to end, real containers, else each file."""
    on_containers = {item.path for item in items if item.get_closest_marker("lxc")}
    on_one_stack = {item.path for item in items if _shares_the_stack(item)}
    for item in items:
        group = "stack" if item.path in on_one_stack else str(item.path.relative_to(item.config.rootpath))
        item.add_marker(pytest.mark.xdist_group("lxc" if item.path in on_containers else group))


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a huge value by its size: pytest hands a test's name to every process that the test starts."""
    if isinstance(val, str | bytes) and len(val) > _LONGEST_ID:
        return f"{len(val)} of {val[:1]!r}"
    return None


def _shares_the_stack(item: pytest.Item) -> bool:
    """Whether it uses the stack of `e2e/conftest.py`, not one of its own module."""
    if not isinstance(item, pytest.Function) or item.path.parent.name != "e2e":
        return False
    return "stack" in item.fixturenames and not hasattr(item.module, "stack")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a required test into a failure that says why it was skipped."""
    report = yield
    required = _REQUIRED.intersection(mark.name for mark in item.iter_markers())
    if report.skipped and required:
        report.outcome = "failed"
        report.longrepr = f"required here ({', '.join(required)}), but skipped: {report.longrepr}"
    return report
