"""Addresses for guests that ask for one."""

import ipaddress

import pytest

from slipway.lab.guests.lxc.network import FIRST_LEASE, lease
from slipway.lab.guests.protocol import GuestError

SUBNET = ipaddress.IPv4Network("10.160.7.0/24")


def test_the_first_free_address_is_given() -> None:
    """Neither a leased nor a static one, with or without prefix."""
    taken = [f"10.160.7.{FIRST_LEASE}/24", f"10.160.7.{FIRST_LEASE + 1}", "dhcp", ""]

    assert lease(SUBNET, taken) == f"10.160.7.{FIRST_LEASE + 2}/24"


def test_a_full_network_is_reported() -> None:
    """The broadcast address is never given."""
    with pytest.raises(GuestError, match=r"no address is left in 10\.160\.7\.0/24"):
        lease(SUBNET, [f"10.160.7.{number}/24" for number in range(FIRST_LEASE, 255)])
