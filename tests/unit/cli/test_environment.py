"""What the processes of one `up` find in their environment."""

from pathlib import Path

import pytest

from slipway.lab.guests.lxc import place
from slipway.standalone.environment import lab_environment


def test_the_labs_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The lab gets the operator's setting, as an absolute path: it runs in another folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLIPWAY_LAB_CACHE", "cache")
    monkeypatch.setenv("SLIPWAY_URL", "http://elsewhere")

    environment = lab_environment()

    assert environment["SLIPWAY_LAB_CACHE"] == str(tmp_path / "cache")
    assert "SLIPWAY_URL" not in environment


def test_what_others_have_in_the_cache_folder_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The setting may name any folder, the operator's own one too: only what labs keep there is removed."""
    monkeypatch.setenv("SLIPWAY_LAB_CACHE", str(tmp_path))
    (tmp_path / "letters").mkdir()
    (tmp_path / "templates" / "debian").mkdir(parents=True)

    place.remove_cache()

    assert list(tmp_path.iterdir()) == [tmp_path / "letters"]
