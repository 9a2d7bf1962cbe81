"""Archives: which one a container is made from."""

from datetime import UTC, datetime

import pytest

from slipway.contracts.cluster_facts import NodeFacts
from slipway.inventory.containers.archives import OsTemplateNotFound, choose, debian_order

DEBIAN = "debian-12-standard"


def node(*volumes: str, offers: tuple[str, ...] = (), architecture: str | None = "amd64") -> NodeFacts:
    """Return a node with these volumes and downloads."""
    return NodeFacts(
        node="pve1",
        is_online=True,
        architecture=architecture,
        os_templates=volumes,
        appliances=offers,
        observed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def volume(version: str, architecture: str = "amd64", *, storage: str = "local") -> str:
    """Return a Debian archive on a storage."""
    return f"{storage}:vztmpl/{DEBIAN}_{version}_{architecture}.tar.zst"


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("12.7-1", "12.15-1"),
        ("12.7-1", "12.7-2"),
        ("12.7-9", "12.7-10"),
        ("12.7", "12.7-1"),
        ("12.7~rc1-1", "12.7-1"),
        ("12.7-1", "12.7.1-1"),
        ("20240908", "20250617"),
        ("9.9", "20240908"),
        ("1.0a", "1.0b"),
        ("1.0", "1.0a"),
        ("1.0a", "1.0+b1"),
        ("18.0-1", "18.01-2"),
    ],
)
def test_versions_are_ordered_as_dpkg_orders_them(older: str, newer: str) -> None:
    """Numbers are numbers, and `~` is before the end."""
    assert debian_order(older) < debian_order(newer)


def test_newest_by_version_is_chosen_whatever_storage_it_is_on() -> None:
    """Neither text order nor a storage's name decides."""
    newest = volume("12.15-1", storage="backup")

    chosen = choose(DEBIAN, node(newest, volume("12.7-1"), volume("12.12-1", storage="nas")))

    assert chosen == newest


@pytest.mark.parametrize(
    ("architecture", "asked", "chosen"),
    [
        ("amd64", None, volume("12.7-1")),
        ("arm64", None, volume("12.15-1", "arm64")),
        (None, None, volume("12.7-1")),
        ("amd64", "i386", volume("12.2-1", "i386")),
    ],
)
def test_archive_is_of_the_architecture_of_the_node_or_the_one_asked_for(
    architecture: str | None, asked: str | None, chosen: str
) -> None:
    """A newer one of another architecture does not run there; an unknown node is amd64, as for Proxmox."""
    volumes = (volume("12.7-1"), volume("12.15-1", "arm64"), volume("12.2-1", "i386"))

    assert choose(DEBIAN, node(*volumes, architecture=architecture), architecture=asked) == chosen


def test_download_is_chosen_by_the_same_rules() -> None:
    """What the node offers is as mixed as what it has."""
    offers = tuple(
        volume(*each).rpartition("/")[2] for each in (("12.7-1",), ("12.15-1",), ("13-1", "arm64"))
    )

    assert choose(DEBIAN, node(offers=offers)) == f"{DEBIAN}_12.15-1_amd64.tar.zst"


def test_what_is_there_comes_before_what_must_be_fetched() -> None:
    """Unless it is of another architecture."""
    offers = (f"{DEBIAN}_12.15-1_amd64.tar.zst",)

    assert choose(DEBIAN, node(volume("12.7-1"), offers=offers)) == volume("12.7-1")
    assert choose(DEBIAN, node(volume("12.7-1", "arm64"), offers=offers)) == offers[0]


def test_package_of_just_that_name_comes_first() -> None:
    """A longer name that begins alike is another package."""
    hardened = f"local:vztmpl/{DEBIAN}-hardened_99-1_amd64.tar.zst"

    assert choose(DEBIAN, node(hardened, volume("12.7-1"))) == volume("12.7-1")
    assert choose("debian-1", node("local:vztmpl/debian-9_1.tar.gz", volume("12.7-1"))) == volume("12.7-1")


@pytest.mark.parametrize("name", ["rootfs.tar.xz", "mine_1.0.tar.gz", "my_own_archive.tar", "golden.tar.zst"])
def test_an_archive_that_names_no_architecture_fits_any_node(name: str) -> None:
    """People name their own archives as they like."""
    own = f"local:vztmpl/{name}"

    assert choose(name.partition(".")[0], node(own, architecture="arm64")) == own


def test_volume_is_taken_as_it_is() -> None:
    """Who names the volume has chosen."""
    own = volume("12.7-1", "arm64")

    assert choose(own, node(own, volume("12.15-1"))) == own


@pytest.mark.parametrize("os_template", ["ubuntu-24.04", "local:vztmpl/none.tar.zst"])
def test_missing_archive_is_reported(os_template: str) -> None:
    """Nothing falls silently to the first archive of a list."""
    with pytest.raises(OsTemplateNotFound, match=r"It has: local:vztmpl/debian-12-standard_12\.7-1_amd64"):
        choose(os_template, node(volume("12.7-1")))


def test_other_architecture_alone_is_reported_as_such() -> None:
    """It says which there are, and what to do."""
    with pytest.raises(
        OsTemplateNotFound, match=r"only for another architecture than amd64.*_arm64\.tar\.zst"
    ):
        choose(DEBIAN, node(volume("12.7-1", "arm64")))


@pytest.mark.parametrize(
    ("requested", "names", "chosen"),
    [
        ("oddalp", ["oddalp-amd64", "oddalp-arm64"], "oddalp-amd64"),
        (
            "debian-12-generic",
            ["debian-12-generic-arm64-20261101", "debian-12-generic-amd64-20261001"],
            "debian-12-generic-amd64-20261001",
        ),
        ("rootfs", ["rootfs-amd64", "rootfs_aarch64"], "rootfs-amd64"),
        ("own", ["own_2_x86_64", "own_3_aarch64"], "own_2_x86_64"),
        ("own", ["own-AMD64", "own-ARM64"], "own-AMD64"),
        ("own", ["own.x86-64", "own.armv7l"], "own.x86-64"),
        (
            "alpine-3.2",
            ["alpine-3.2-default_1_amd64", "alpine-3.22-default_1_amd64"],
            "alpine-3.2-default_1_amd64",
        ),
        (f"{DEBIAN}_12.1", [f"{DEBIAN}_12.15-1_amd64", f"{DEBIAN}_12.1-1_amd64"], f"{DEBIAN}_12.1-1_amd64"),
        ("charm", ["charm64x_2", "charm_1"], "charm_1"),
    ],
)
def test_names_that_people_gave_tell_their_architecture(
    requested: str, names: list[str], chosen: str
) -> None:
    """However it is written, and wherever it stands; a number is not cut in two."""
    volumes = [f"local:vztmpl/{name}.tar.zst" for name in names]

    assert choose(requested, node(*volumes)) == f"local:vztmpl/{chosen}.tar.zst"


def test_only_another_architecture_is_said_whatever_it_is_called() -> None:
    """Nothing is taken that could not run."""
    with pytest.raises(OsTemplateNotFound, match="only for another architecture than amd64"):
        choose("debian-12", node("local:vztmpl/debian-12-standard-12.15-aarch64.tar.zst"))
