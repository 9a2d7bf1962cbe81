"""Each behaviour that Slipway relies on names tests that hold it, and those are there."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "reference" / "behaviour.md"
_TEST = re.compile(r"`(?P<path>tests/[\w/]+\.py)(::(?P<name>\w+))?`")


def _rows() -> Mapping[str, str]:
    """Return the last cell of each row by its first one."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return {row[0]: row[-1] for row in rows if row[0] != "behaviour"}


@pytest.mark.parametrize("behaviour", _rows())
def test_named_tests_exist(behaviour: str) -> None:
    """A row without a test, or with one that was renamed, holds nothing."""
    named = list(_TEST.finditer(_rows()[behaviour]))

    assert named
    for test in named:
        source = (ROOT / test["path"]).read_text()
        assert test["name"] is None or f"def {test['name']}(" in source
