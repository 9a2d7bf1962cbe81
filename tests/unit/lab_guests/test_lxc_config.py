"""LXC's configuration as it follows from a spec."""

from dataclasses import replace
from pathlib import Path

import pytest

from slipway.lab.guests.lxc.config import Host, write
from slipway.lab.guests.protocol import GuestError, GuestSpec
from support.guest_specs import network, spec

HOST = Host(architecture="x86_64", processors=4, first_id=100000, has_apparmor=False, has_swap_limit=True)


def written(guest_spec: GuestSpec, host: Host = HOST, inet: str | None = "10.160.0.50/24") -> list[str]:
    """Lines for a spec whose devices all have the same address."""
    return write(
        guest_spec,
        host,
        root="/run/root",
        bridges={"vmbr0": "slab123456"},
        addresses=[(inet, "10.160.0.1") for _ in guest_spec.networks],
    ).splitlines()


def test_unprivileged_guests_get_the_mapping() -> None:
    """Both maps start at root's subordinate range."""
    lines = written(spec(Path("t")))

    assert "lxc.idmap = u 0 100000 65536" in lines
    assert "lxc.idmap = g 0 100000 65536" in lines


def test_privileged_guests_get_none() -> None:
    """Nor the configuration that goes with it."""
    lines = written(spec(Path("t"), unprivileged=False))

    assert not [line for line in lines if "idmap" in line or "userns" in line]


def test_memory_is_limited_for_both_versions_of_control_groups() -> None:
    """The first counts swap together with memory, the second apart."""
    lines = written(replace(spec(Path("t")), memory_mib=512, swap_mib=256))

    assert f"lxc.cgroup.memory.limit_in_bytes = {512 << 20}" in lines
    assert f"lxc.cgroup.memory.memsw.limit_in_bytes = {768 << 20}" in lines
    assert f"lxc.cgroup2.memory.max = {512 << 20}" in lines
    assert f"lxc.cgroup2.memory.swap.max = {256 << 20}" in lines


def test_swap_is_left_out_where_the_kernel_does_not_count_it() -> None:
    """Writing that limit would keep the guest from starting."""
    host = replace(HOST, has_swap_limit=False)

    assert not [line for line in written(spec(Path("t")), host) if "memsw" in line]


@pytest.mark.parametrize(
    ("vmid", "cores", "chosen"),
    [(100, 1, "0"), (101, 1, "1"), (103, 2, "3,0"), (100, 4, None), (100, 0, None)],
)
def test_cores_are_spread_over_the_processors(vmid: int, cores: int, chosen: str | None) -> None:
    """As many as asked for, beginning elsewhere for each guest; all of them need no limit."""
    lines = written(replace(spec(Path("t"), vmid=vmid), cores=cores))

    assert [line.partition(" = ")[2] for line in lines if line.startswith("lxc.cgroup.cpuset")] == (
        [] if chosen is None else [chosen]
    )


def test_a_device_has_bridge_name_and_hardware_address() -> None:
    """The bridge is the kernel's, the device name the guest's."""
    lines = written(spec(Path("t")))

    assert "lxc.net.0.link = slab123456" in lines
    assert "lxc.net.0.name = eth0" in lines
    assert "lxc.net.0.hwaddr = BC:24:11:00:00:01" in lines
    assert "lxc.net.0.ipv4.address = 10.160.0.50/24" in lines
    assert "lxc.net.0.ipv4.gateway = 10.160.0.1" in lines


def test_a_device_without_address_has_no_gateway() -> None:
    """A gateway alone would keep the guest from starting."""
    assert not [line for line in written(spec(Path("t")), inet=None) if "ipv4" in line]


def test_an_unknown_bridge_is_reported_as_proxmox_does() -> None:
    """The sentence is Proxmox's own."""
    with pytest.raises(GuestError, match="bridge 'vmbr9' does not exist"):
        written(spec(Path("t"), networks=(network(bridge="vmbr9"),)))


def test_a_value_cannot_become_a_line() -> None:
    """A line break in the environment would add a setting of the caller's choice."""
    guest_spec = replace(spec(Path("t")), environment={"A": "b\nlxc.hook.pre-start = /bin/sh"})

    with pytest.raises(GuestError, match="line break"):
        written(guest_spec)
