"""A guest's disk saved and loaded, on both backends: what snapshots, copies and backups rest on."""

from dataclasses import replace
from pathlib import Path

import pytest

from slipway.lab.guests.protocol import GuestError, Guests
from support.guest_specs import script, spec


async def test_a_disk_comes_back_as_it_was_saved(guests: Guests, tmp_path: Path) -> None:
    """Files made since are gone, changed ones are as before, removed ones removed."""
    guest_spec = spec((await guests.templates())[0], vmid=100)
    await guests.create(guest_spec)
    await guests.start(100)
    made = "echo one > /srv/stored; rm /etc/debian_version; mkdir /usr/local/share/mine"
    assert (await script(guests, 100, made)).code == 0

    await guests.save(100, tmp_path / "saved.tar")
    assert (await script(guests, 100, "echo two > /srv/stored; touch /srv/new /etc/debian_version")).code == 0
    await guests.stop(100)
    await guests.load(guest_spec, tmp_path / "saved.tar")
    await guests.start(100)

    seen = await script(
        guests, 100, "cat /srv/stored; ls /srv; ls -d /usr/local/share/mine; test -e /etc/debian_version"
    )
    assert seen.output == "one\nstored\n/usr/local/share/mine\n"
    assert seen.code == 1


async def test_a_loaded_copy_is_a_guest_of_its_own(guests: Guests, tmp_path: Path) -> None:
    """Two guests from one archive have their own names and disks."""
    guest_spec = spec((await guests.templates())[0], vmid=100)
    await guests.create(guest_spec)
    await guests.save(100, tmp_path / "saved.tar")

    await guests.load(replace(guest_spec, vmid=101, hostname="copy"), tmp_path / "saved.tar")
    await guests.destroy(100)
    await guests.start(101)

    assert (await script(guests, 101, "cat /etc/hostname")).output == "copy\n"
    with pytest.raises(GuestError):
        await guests.load(replace(guest_spec, vmid=101), tmp_path / "saved.tar")


async def test_an_archive_that_is_none_leaves_the_guest_as_it_is(guests: Guests, tmp_path: Path) -> None:
    """Loading is all or nothing."""
    guest_spec = spec((await guests.templates())[0], vmid=100)
    await guests.create(guest_spec)
    (tmp_path / "broken.tar").write_text("no archive")

    with pytest.raises(GuestError):
        await guests.load(guest_spec, tmp_path / "broken.tar")

    await guests.start(100)
    assert guests.is_running(100)
