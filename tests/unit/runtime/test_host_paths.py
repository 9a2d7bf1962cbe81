"""Paths on a host as text."""

import pytest

from slipway.runtime.process.host_paths import is_below


@pytest.mark.parametrize(
    ("path", "is_inside"),
    [("/srv/media", True), ("/srv/media/a", True), ("/srv/mediathek", False), ("/srv", False), ("/", False)],
)
def test_below_is_by_whole_names(path: str, *, is_inside: bool) -> None:
    """A name that only begins alike is another folder."""
    assert is_below(path, ["/srv/media"]) is is_inside
