"""Reading what a guest's `ip -j addr` prints."""

from slipway.lab.guests.addresses import interface
from slipway.lab.guests.protocol import Interface


def test_the_first_address_of_each_family_counts() -> None:
    """A device may have several."""
    entry = {
        "ifname": "eth0",
        "address": "bc:24:11:00:00:01",
        "addr_info": [
            {"family": "inet", "local": "10.160.0.50", "prefixlen": 24},
            {"family": "inet", "local": "10.160.0.99", "prefixlen": 24},
            {"family": "inet6", "local": "fe80::1", "prefixlen": 64},
        ],
    }

    assert interface(entry) == Interface(
        name="eth0", hwaddr="bc:24:11:00:00:01", inet="10.160.0.50/24", inet6="fe80::1/64"
    )


def test_a_device_without_address_has_none() -> None:
    """It is shown nevertheless."""
    assert interface({"ifname": "eth1", "address": "x", "addr_info": []}).inet is None
