"""What is stored of a guest, and files written into one."""

from pathlib import Path

import pytest

from slipway.lab.guests.lxc import rootfs
from slipway.lab.guests.lxc.stored import Stored, exists, read, write
from slipway.lab.guests.protocol import GuestError
from support.guest_specs import spec


def test_a_guest_is_read_back_as_it_was_stored_but_for_its_password(tmp_path: Path) -> None:
    """The password is used once, at creation."""
    stored = Stored(spec=spec(Path("/t.tar.zst")), base=Path("/base"), lease="10.160.0.50/24")

    write(
        tmp_path,
        Stored(spec=spec(Path("/t.tar.zst"), password="hunter2"), base=stored.base, lease=stored.lease),
    )

    assert read(tmp_path, 100) == stored
    assert "hunter2" not in (tmp_path / "guest.json").read_text()


def test_a_folder_without_its_file_is_no_guest(tmp_path: Path) -> None:
    """As one whose creation was killed."""
    assert not exists(tmp_path)
    with pytest.raises(GuestError, match="guest 100 does not exist"):
        read(tmp_path, 100)


def test_settings_are_written_over_links_but_not_through_folders_that_are_links(tmp_path: Path) -> None:
    """A guest's root cannot make the lab write to the host."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "etc" / "network", outside):
        folder.mkdir(parents=True)
    (root / "etc" / "hostname").symlink_to(outside / "hostname")

    rootfs.write_settings(root, spec(Path("t")), resolvers="nameserver 192.0.2.1\n")

    assert (root / "etc" / "hostname").read_text() == "ct100\n"
    assert not (root / "etc" / "hostname").is_symlink()
    assert (root / "etc" / "resolv.conf").read_text() == "nameserver 192.0.2.1\n"
    assert list(outside.iterdir()) == []


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """It may lead anywhere."""
    (tmp_path / "etc").symlink_to("/tmp")

    with pytest.raises(GuestError, match="/etc is a symbolic link"):
        rootfs.write_settings(tmp_path, spec(Path("t")), resolvers="")
