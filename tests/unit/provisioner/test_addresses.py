"""Which addresses a guest still lacks."""

from ipaddress import ip_address

import pytest

from slipway.contracts.container_specs import NetworkSpec
from slipway.provisioner.steps.start import expected_addresses


@pytest.mark.parametrize(
    ("network", "seen", "expected"),
    [
        ({"ip": "dhcp"}, ["10.0.0.5"], []),
        ({"ip": "dhcp"}, ["2001:db8::5"], [("net0", 4)]),
        ({"ip": "dhcp", "ip6": "auto"}, ["10.0.0.5"], [("net0", 6)]),
        ({"ip": "dhcp", "ip6": "auto"}, ["10.0.0.5", "2001:db8::5"], []),
        ({"ip": "manual"}, [], []),
        ({"ip": "10.0.0.5/24", "link_down": True}, [], []),
        ({"ip6": "2001:db8::5/64"}, [], [("net0", 6)]),
    ],
)
def test_each_family_counts(
    network: dict[str, object], seen: list[str], expected: list[tuple[str, int]]
) -> None:
    """An address of one family does not stand for one of the other."""
    networks = (NetworkSpec.model_validate({"name": "eth0", "bridge": "vmbr0", **network}),)

    addresses = {"eth0": [ip_address(each) for each in seen]}

    missing = [each for each in expected_addresses(networks) if not each.is_among(addresses)]

    assert [(each.device, each.version) for each in missing] == expected


@pytest.mark.parametrize(
    ("network", "cause"),
    [
        ({"ip": "dhcp"}, "net0 has no IPv4 address (dhcp): no DHCP server answers on vmbr0"),
        (
            {"ip": "dhcp", "tag": 7},
            "net0 has no IPv4 address (dhcp): no DHCP server answers on vmbr0 (VLAN 7)",
        ),
        ({"ip6": "auto"}, "net0 has no IPv6 address (auto): no router advertises a prefix on vmbr0"),
        ({"ip6": "dhcp"}, "net0 has no IPv6 address (dhcp): no DHCPv6 server answers on vmbr0"),
        (
            {"ip": "10.0.0.5/24"},
            "net0 has no IPv4 address (10.0.0.5/24): the guest did not set it; is its device up on vmbr0?",
        ),
    ],
)
def test_each_missing_address_has_its_own_cause(network: dict[str, object], cause: str) -> None:
    """A router that is silent is no DHCP server that is."""
    networks = (NetworkSpec.model_validate({"name": "eth0", "bridge": "vmbr0", **network}),)

    assert [each.why_missing for each in expected_addresses(networks)] == [cause]
