"""Which tokens are a single Slipway's own."""

import pytest

from slipway.monitor.access import is_own


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("slipway-ab12cd34@pve!main", True),
        ("slipway@pve!lab", True),
        # As older token scripts called it: two installations may share it, and neither is a copy.
        ("slipway@pve!main", False),
        ("slipway-ops@pve!terraform", False),
        ("root@pam!slipway", False),
        (None, False),
    ],
)
def test_only_a_token_that_was_made_for_one_slipway_is_watched(token: str | None, *, expected: bool) -> None:
    """A script that uses another one, whatever its name, must not pause anything."""
    assert is_own(token) is expected
