"""`realpath` on the pretend host."""

from pathlib import Path

import pytest

from slipway.lab.ssh.paths import follow


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/srv/a", "/srv/a"),
        ("/srv/../srv/a/", "/srv/a"),
        ("/srv/near", "/srv/a"),
        ("/srv/far", "/etc"),
        ("/srv/far/../srv", "/srv"),
        ("/srv/round", None),
        ("/srv/none", None),
        ("/../../etc", "/etc"),
    ],
)
def test_links_stay_on_the_pretend_host(tmp_path: Path, path: str, place: str | None) -> None:
    """An absolute link begins at the pretend root; what leads nowhere is reported."""
    (tmp_path / "srv" / "a").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "srv" / "near").symlink_to("a")
    (tmp_path / "srv" / "far").symlink_to("/etc")
    (tmp_path / "srv" / "round").symlink_to("round")

    assert follow(tmp_path, path) == place
