"""Files in a container: policies, strange names, verification, and that a second run changes nothing."""

import os
import re
from pathlib import Path

import pytest

from slipway.contracts.problems import Invalid
from slipway.proxmox.errors import DeployFailed
from slipway.proxmox.files import GuestFile, Outcome, Policy, deploy
from slipway.proxmox.pct import Pct


def beside(file: Path) -> list[Path]:
    """The file's backups, and whatever else has a name like its."""
    return [each for each in file.parent.iterdir() if each != file and file.name in each.name]


@pytest.mark.parametrize("mode", [0o640, 0o1777, 0o2755, 0o4755])
async def test_files_appear_with_content_owner_and_mode(pct: Pct, tmp_path: Path, mode: int) -> None:
    """Missing folders are made, for all to read."""
    target = tmp_path / "etc" / "app" / "app.conf"
    file = GuestFile(path=str(target), content=b"\0\xff binary\n", mode=mode, owner="root", group="0")

    (deployed,) = await deploy(pct, 100, [file])

    assert (deployed.outcome, target.read_bytes()) == (Outcome.CREATED, b"\0\xff binary\n")
    assert (target.stat().st_mode & 0o7777, target.parent.stat().st_mode & 0o777) == (mode, 0o755)


@pytest.mark.parametrize(
    "name", ["a b", "it's", 'q"q', "new\nline", "back\\slash", "$HOME `x`", "-rf", "ü", "*"]
)
async def test_a_name_is_only_a_name(pct: Pct, tmp_path: Path, name: str) -> None:
    """Whatever it holds."""
    await deploy(pct, 100, [GuestFile(path=f"{tmp_path}/{name}/{name}", content=b"x")])

    assert (tmp_path / name / name).read_bytes() == b"x"


@pytest.mark.parametrize(
    ("policy", "outcome", "content"),
    [
        ("replace", Outcome.REPLACED, b"new"),
        ("default", Outcome.STORED, b"old"),
        ("backup", Outcome.REPLACED, b"new"),
    ],
)
async def test_a_policy_decides_about_an_old_file(
    pct: Pct, tmp_path: Path, policy: Policy, outcome: Outcome, content: bytes
) -> None:
    """Replace, default, backup."""
    target = tmp_path / "app.conf"
    target.write_bytes(b"old")

    (deployed,) = await deploy(pct, 100, [GuestFile(path=str(target), content=b"new", policy=policy)])

    assert (deployed.outcome, target.read_bytes()) == (outcome, content)
    assert [each.read_bytes() for each in beside(target)] == [b"old"] * (policy == "backup")


async def test_a_backup_is_named_by_the_time(pct: Pct, tmp_path: Path) -> None:
    """A second one in the same second has a name of its own."""
    target = tmp_path / "app.conf"
    target.write_bytes(b"0")
    names: list[str] = []
    for content in (b"1", b"2"):
        file = GuestFile(path=str(target), content=content, policy="backup")
        (deployed,) = await deploy(pct, 100, [file])
        names.append(deployed.backup or "")

    assert all(re.fullmatch(r".*/app\.conf\.backup-\d{8}-\d{6}(-\d)?", name) for name in names)
    assert [each.read_bytes() for each in sorted(beside(target))] == [b"0", b"1"]


@pytest.mark.parametrize("policy", ["replace", "backup"])
async def test_the_same_content_is_left_alone(pct: Pct, tmp_path: Path, policy: Policy) -> None:
    """Only owner and mode are set; so a second run after a crash changes nothing."""
    target = tmp_path / "app.conf"
    target.write_bytes(b"same")
    before = target.stat().st_ino

    (deployed,) = await deploy(
        pct, 100, [GuestFile(path=str(target), content=b"same", policy=policy, mode=0o600)]
    )

    assert (deployed.outcome, target.stat().st_ino) == (Outcome.UNCHANGED, before)
    assert target.stat().st_mode & 0o777 == 0o600
    assert beside(target) == []


async def test_a_link_is_replaced_not_followed(pct: Pct, tmp_path: Path) -> None:
    """What it points to stays as it is."""
    (tmp_path / "real").write_bytes(b"real")
    (tmp_path / "link").symlink_to("real")

    await deploy(pct, 100, [GuestFile(path=f"{tmp_path}/link", content=b"new", policy="replace")])

    assert ((tmp_path / "real").read_bytes(), (tmp_path / "link").read_bytes()) == (b"real", b"new")


async def test_nothing_is_placed_if_one_can_not_be(pct: Pct, tmp_path: Path) -> None:
    """A folder of that name is found before anything is written."""
    (tmp_path / "folder").mkdir()
    files = [GuestFile(path=f"{tmp_path}/{name}", content=b"x") for name in ("first", "folder")]

    with pytest.raises(DeployFailed, match="there is a folder of that name") as caught:
        await deploy(pct, 100, files)

    assert (caught.value.details["path"], (tmp_path / "first").exists()) == (f"{tmp_path}/folder", False)


async def test_a_failure_shows_what_the_guest_says(pct: Pct, tmp_path: Path) -> None:
    """An unknown owner."""
    with pytest.raises(DeployFailed, match=r"owner can't be set.*nobody-here"):
        await deploy(pct, 100, [GuestFile(path=f"{tmp_path}/x", content=b"x", owner="nobody-here")])


@pytest.mark.parametrize("path", ["relative", "/", "/etc/", "/etc/..", "/a/../b", "/a\0b", ""])
async def test_what_is_no_path_of_a_file_is_refused(pct: Pct, path: str) -> None:
    """Before anything is sent."""
    with pytest.raises(Invalid):
        await deploy(pct, 100, [GuestFile(path=path, content=b"x")])


async def test_many_files_and_megabytes_travel_at_once(pct: Pct, tmp_path: Path) -> None:
    """In one remote process."""
    files = [GuestFile(path=f"{tmp_path}/many/{n}", content=b"%d" % n) for n in range(100)]
    files.append(GuestFile(path=f"{tmp_path}/big", content=os.urandom(3_000_000)))

    deployed = await deploy(pct, 100, files)

    assert [each.outcome for each in deployed] == [Outcome.CREATED] * 101
    assert (tmp_path / "big").read_bytes() == files[-1].content


async def test_nothing_to_do_asks_nobody(pct: Pct) -> None:
    """Not even a container that is missing."""
    assert await deploy(pct, 404, []) == ()
