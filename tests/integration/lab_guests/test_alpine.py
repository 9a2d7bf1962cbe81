"""Guests without systemd on real containers: what a genuine Alpine does, which the lab must not hide."""

import time
from datetime import timedelta

import pytest

from slipway.proxmox import tasks
from slipway.proxmox.answers import Power
from slipway.proxmox.hosts import Cluster
from support import alpine, lab_client

pytestmark = pytest.mark.lxc
PROGRAMS = """
cat /proc/1/comm
rc-service --list | grep -x networking
for program in systemctl bash curl ss apt-get; do ! command -v $program || exit 1; done
ip -4 addr show eth0 | grep -c 'inet '
"""


async def test_alpine_boots_and_shuts_down(alpine_cluster: Cluster) -> None:
    """It needs no program that only Debian has, its addresses are seen; busybox's init ends when asked."""
    await alpine.boot(alpine_cluster)

    inside = await alpine_cluster.pct("lab").script(100, PROGRAMS, timeout=timedelta(seconds=10))
    seen = await alpine_cluster.api.interfaces("lab", 100)
    began = time.monotonic()
    upid = await alpine_cluster.api.shutdown("lab", 100, grace=timedelta(seconds=20))
    await tasks.wait(alpine_cluster.api, upid, deadline=lab_client.LIMIT)

    assert {"lo", "eth0"} == {each.name for each in seen if any(at.ip.version == 4 for at in each.addresses)}
    assert inside.stdout.split() == ["init", "networking", "1"]
    assert (await alpine_cluster.api.status("lab", 100)).status is Power.STOPPED
    assert time.monotonic() - began < 15
