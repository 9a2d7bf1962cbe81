"""How far containers may reach into their host."""

import pytest
from pydantic import ValidationError

from slipway.runtime.process.host_access import NONE, HostAccessSettings, is_below
from slipway.runtime.process.settings import explain


def test_nothing_is_allowed_unless_said() -> None:
    """The default opens nothing."""
    assert HostAccessSettings().host_access == NONE


def test_paths_are_separated_by_colons(monkeypatch: pytest.MonkeyPatch) -> None:
    """And normalised."""
    monkeypatch.setenv("SLIPWAY_RESTRICTED_KEYS", "true")
    monkeypatch.setenv("SLIPWAY_BIND_MOUNT_PATHS", "/srv/media/://data//www")

    reach = HostAccessSettings().host_access

    assert (reach.is_allowed, reach.paths) == (True, ("/srv/media", "/data/www"))


@pytest.mark.parametrize("paths", ["srv", "/srv/../etc"])
def test_a_path_that_is_not_plain_is_refused(monkeypatch: pytest.MonkeyPatch, paths: str) -> None:
    """A setting that could mean another place is never guessed at."""
    monkeypatch.setenv("SLIPWAY_BIND_MOUNT_PATHS", paths)

    with pytest.raises(ValidationError) as refused:
        HostAccessSettings()

    assert "absolute path" in "".join(explain(refused.value))


@pytest.mark.parametrize(
    ("path", "is_inside"),
    [("/srv/media", True), ("/srv/media/a", True), ("/srv/mediathek", False), ("/srv", False), ("/", False)],
)
def test_below_is_by_whole_names(path: str, *, is_inside: bool) -> None:
    """A name that only begins alike is another folder."""
    assert is_below(path, ["/srv/media"]) is is_inside
