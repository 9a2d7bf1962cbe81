"""Formats of Proxmox' schema in the lab: what a genuine node takes, and what it does not."""

import pytest

from slipway.lab.schema.formats import fault


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("pve-ipv4-config", ("dhcp", "10.0.0.5/8", "203.0.113.9/32"), ("auto", "10.0.0.5", "10.0.0.5/7")),
        ("pve-ipv6-config", ("auto", "fd00::5/8", "::1/128"), ("fd00::5/7", "fd00::5", "10.0.0.5/24")),
        (
            "lxc-ip-with-ll-iface-list",
            ("", "1.1.1.1,fd00::1; 8.8.8.8", "fe80::1%eth0.5"),
            ("host", "1.1.1.1%eth0", "fd00::1%eth0", "fe80::1%$(x)", "fe80::1%"),
        ),
        ("pve-startup-order", ("1", "order=0", "down=1,,up=2", " "), ("", "0", "order=1, up=2", "x=1")),
        (
            "pve-ct-timezone",
            ("host", "UTC", "Europe/Berlin"),
            ("Etc/UTC", "CET", "US/Eastern", "Europe/Atlantis", "Asia/Calcutta", "europe/berlin", ""),
        ),
        ("pve-lxc-mp-string", ("/a b", "a", "/a..b", "/.c"), ("/a/../b", "/a/.", "../a", "/a,b")),
        ("pve-lxc-dev-string", ("/dev/a:b c", "/dev/.x"), ("/dev/../a", "/dev/a/..", "/etc/a", "dev/a")),
    ],
)
def test_a_format_takes_what_proxmox_takes(
    name: str, taken: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    """As in PVE::JSONSchema and PVE::LXC::Config 9.2."""
    assert [value for value in taken if fault(name, value)] == []
    assert [value for value in refused if not fault(name, value)] == []
