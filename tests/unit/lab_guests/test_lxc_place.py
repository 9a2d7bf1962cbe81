"""Names of a lab, and root's subordinate ids."""

from pathlib import Path

import pytest

from slipway.lab.guests.lxc.place import FIRST_ID, free_id, id_range, place


def test_names_follow_from_the_data_folder_alone() -> None:
    """The same folder gives the same names, another one others."""
    assert place(Path("/srv/one")) == place(Path("/srv/../srv/one"))
    assert place(Path("/srv/one")).bridge != place(Path("/srv/two")).bridge


def test_the_bridge_fits_the_kernels_limit() -> None:
    """Names of devices have at most 15 characters."""
    assert len(place(Path("/srv/one")).bridge) <= 15


def test_each_lab_tries_every_subnet_in_its_own_order() -> None:
    """All /24 parts, beginning at a place of its own."""
    first, second = place(Path("/srv/one")).subnets(), place(Path("/srv/two")).subnets()

    assert set(first) == set(second)
    assert first[0] != second[0]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("", None),
        ("user:100000:65536\n", None),
        ("user:100000:65536\nroot:165536:65536\n", 165536),
        ("0:500000:70000\n", 500000),
        ("root:100000:1000\n", None),
    ],
)
def test_roots_range_is_found_if_it_is_large_enough(text: str, first: int | None) -> None:
    """By name or by number, and only with the ids that a guest needs."""
    assert id_range(text) == first


@pytest.mark.parametrize(
    ("text", "first"), [("", FIRST_ID), ("user:100000:65536\nother:165536:65536\n", 231072)]
)
def test_a_new_range_overlaps_no_other(text: str, first: int) -> None:
    """It begins where the last one ends."""
    assert free_id(text) == first
