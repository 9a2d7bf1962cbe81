"""Which addresses a guest still lacks."""

from ipaddress import ip_address

import pytest

from slipway.contracts.container_specs import NetworkSpec
from slipway.provisioner.steps.start import without_address


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

    missing = without_address(networks, {"eth0": [ip_address(each) for each in seen]})

    assert [(device, version) for device, _, _, version in missing] == expected
