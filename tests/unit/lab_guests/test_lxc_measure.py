"""Finding a guest's control groups in what the kernel says of its init."""

from pathlib import Path

from slipway.lab.guests.lxc.measure import _groups
from slipway.lab.guests.proc import traffic

FIRST_VERSION = """9:name=systemd:/lxc.payload.slab-1-100/init.scope
4:memory:/lxc.payload.slab-1-100/init.scope
2:cpu,cpuacct:/lxc.payload.slab-1-100
0::/lxc.payload.slab-1-100/init.scope
"""
SECOND_VERSION = "0::/lxc.payload.slab-1-100/init.scope\n"


def test_the_first_version_has_a_folder_per_controller() -> None:
    """Cut after LXC's own part: init is in a group below it."""
    groups = _groups(FIRST_VERSION, "slab-1-100")

    assert groups["memory"] == Path("/sys/fs/cgroup/memory/lxc.payload.slab-1-100")
    assert groups["cpuacct"] == Path("/sys/fs/cgroup/cpuacct/lxc.payload.slab-1-100")


def test_the_second_version_has_one_for_all() -> None:
    """Memory and processor time are in the same folder."""
    groups = _groups(SECOND_VERSION, "slab-1-100")

    assert groups["memory"] == groups["cpuacct"] == Path("/sys/fs/cgroup/lxc.payload.slab-1-100")


def test_traffic_is_what_passes_the_devices_but_lo() -> None:
    """Received bytes stand first, sent ones ninth."""
    text = (
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes packets errs drop fifo frame compressed multicast|bytes packets\n"
        "    lo:  100 1 0 0 0 0 0 0 100 1 0 0 0 0 0 0\n"
        "  eth0: 2000 9 0 0 0 0 0 0 300 3 0 0 0 0 0 0\n"
    )

    assert traffic(text, counts_lo=False) == (2000, 300)
    assert traffic(text, counts_lo=True) == (2100, 400)
