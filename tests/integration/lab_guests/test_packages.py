"""Packages that came with the lab go again, but for those that something else uses by now."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from slipway.lab.guests.packages import Debian

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="no apt here")

CAME = ("lxc", "liblxc1", "zstd", "nftables")
DEPENDS = {"lxc": "liblxc1", "incus": "liblxc1 (>= 1)"}


class Machine:
    """What apt and dpkg of another machine know."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.debian = Debian(
            apt_options=self._options(),
            admindir=folder,
            processes=folder / "proc",
            data={"lxc": folder / "ct"},
        )
        (folder / "info").mkdir()
        (folder / "proc/self/ns").mkdir(parents=True)
        (folder / "proc/self/ns/mnt").symlink_to("mnt:[1]")

    def _options(self) -> tuple[str, ...]:
        places = {
            "Dir::State": self.folder,
            "Dir::State::status": self.folder / "status",
            "Dir::State::Lists": self.folder / "lists",
            "Dir::State::extended_states": self.folder / "extended_states",
            "Dir::Cache": self.folder / "cache",
            "Debug::NoLocking": "1",
            "APT::Architecture": "amd64",
        }
        return tuple(f"-o={name}={value}" for name, value in places.items())

    def install(self, *names: str, files: Mapping[str, str] | None = None) -> None:
        """Have these packages, and nothing else."""
        paragraphs = [
            f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2\n"
            f"Maintainer: nobody\nDescription: test\n"
            + (f"Depends: {DEPENDS[name]}\n" if name in DEPENDS else "")
            for name in names
        ]
        (self.folder / "status").write_text("\n".join(paragraphs))
        for name in names:
            (self.folder / f"info/{name}.list").write_text((files or {}).get(name, "/.") + "\n")

    def automatic(self, *names: str) -> None:
        """Have these marked as not asked for by anybody."""
        paragraphs = [f"Package: {name}\nArchitecture: amd64\nAuto-Installed: 1\n" for name in names]
        (self.folder / "extended_states").write_text("\n".join(paragraphs))

    def process(self, number: int, mapped: str, *, namespace: str = "mnt:[1]") -> None:
        """Have a process that runs from a file."""
        place = self.folder / f"proc/{number}"
        (place / "ns").mkdir(parents=True)
        (place / "ns/mnt").symlink_to(namespace)
        (place / "maps").write_text(f"5581-5582 r-xp 00000000 08:01 42    {mapped}\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine of its own."""
    return Machine(tmp_path)


async def test_what_nobody_uses_goes(machine: Machine) -> None:
    """All that came, and it needs itself only."""
    machine.install(*CAME, "bash")
    machine.automatic(*CAME)

    assert await machine.debian.installed() == {*CAME, "bash"}
    assert await machine.debian.used(CAME, []) == {}


async def test_what_something_else_needs_stays(machine: Machine) -> None:
    """A library that another package was installed upon; the rest goes."""
    machine.install(*CAME, "incus")
    machine.automatic(*CAME)

    assert await machine.debian.used(CAME, []) == {"liblxc1": "incus would go with it"}


async def test_what_was_installed_by_hand_stays(machine: Machine) -> None:
    """And what it needs. Of a record without marks nobody knows."""
    machine.install(*CAME)
    machine.automatic("liblxc1", "zstd", "nftables")

    assert await machine.debian.used(CAME, []) == {
        "lxc": "it was installed by hand since",
        "liblxc1": "lxc would go with it",
    }
    assert await machine.debian.used(CAME, None) == {}


async def test_what_runs_stays(machine: Machine) -> None:
    """A process of this system; one of a container has files of its own."""
    machine.install(*CAME, files={"zstd": sys.executable, "nftables": "/opt/nft"})
    machine.automatic(*CAME)
    machine.process(77, sys.executable)
    machine.process(78, "/opt/nft", namespace="mnt:[2]")

    used = await machine.debian.used(CAME, [])

    assert list(used) == ["zstd"]
    assert used["zstd"].startswith("process 77 uses ")


async def test_what_keeps_containers_stays(machine: Machine) -> None:
    """Somebody's own, stopped or not."""
    machine.install(*CAME)
    machine.automatic(*CAME)
    (machine.folder / "ct/mine").mkdir(parents=True)
    (machine.folder / "ct/mine/config").touch()

    used = await machine.debian.used(CAME, [])

    assert set(used) == {"lxc", "liblxc1"}
    assert used["lxc"].startswith("there are containers in ")
