"""Services of genuine guests: who listens is found whatever it is called, and linked where others can go."""

import os
import re
import signal
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from slipway.contracts.guests import DiscoverGuest
from slipway.monitor.discovery.discover import SCRIPT, read_services, sections
from slipway.monitor.discovery.probes import addresses, init
from slipway.proxmox.hosts import Cluster
from support import alpine
from support.inventory_side import CLUSTER, Inventory, Monitor
from support.lab import api_client, started

pytestmark = pytest.mark.lxc
QUERY = DiscoverGuest(container="k1", cluster=CLUSTER, node="lab", vmid=100)
LISTEN = """
use Socket qw(:DEFAULT pack_sockaddr_in6 inet_pton);
open my $comm, '>', '/proc/self/comm'; print $comm 'MainThread'; close $comm;
my @open;
while (@ARGV) {
    my ($address, $port) = splice @ARGV, 0, 2;
    socket my $socket, AF_INET6, SOCK_STREAM, 0 or die $!;
    bind $socket, pack_sockaddr_in6($port, inet_pton(AF_INET6, $address)) or die $!;
    listen $socket, 1 or die $!;
    push @open, $socket;
}
sleep 1000;
"""
"""Arguments: addresses and ports."""
READY = """
until state=$(systemctl is-system-running) || [ "$state" = degraded ]; do sleep 0.1; done
"""
DEBIAN = """
cd /etc/systemd/system
printf '[Socket]\\nListenStream=9090\\nListenStream=127.0.0.1:7000\\n' >cockpit.socket
printf '[Service]\\nExecStart=/bin/sleep 1000\\n' >cockpit.service
printf '[Socket]\\nListenStream=0.0.0.0:8888\\nAccept=yes\\n' >echo.socket
printf '[Service]\\nExecStart=/bin/cat\\nStandardInput=socket\\n' >echo@.service
printf '[Socket]\\nListenStream=7001\\n' >'we\\x2dird.socket'
printf '[Service]\\nExecStart=/bin/sleep 1000\\n' >'we\\x2dird.service'
systemctl daemon-reload && systemctl start cockpit.socket echo.socket 'we\\x2dird.socket' || exit 1
cat >/opt/app.pl
own=$(hostname -I | cut -d' ' -f1)
setsid perl /opt/app.pl ::ffff:127.0.0.1 8081 "::ffff:$own" 8080 :: 3000 >/dev/null 2>&1 </dev/null &
for _ in 1 2 3 4 5 6 7 8 9 10; do ss -Hltn | grep -q :3000 && exit 0; sleep 0.2; done
exit 1
"""
BOOTED = """
openrc=/run/openrc
until [ "$(cat $openrc/softlevel)" = default ] && ! pidof openrc; do sleep 0.1; done
"""
ALPINE = """
listens() { printf 'nc -lk -p %s -e cat' "$1"; }
service() { printf '#!/sbin/openrc-run\\n%s\\n' "$2" >"/etc/init.d/$1"; chmod +x "/etc/init.d/$1"; }
printf '#!/bin/sh\\nexec %s\\n' "$(listens 8080)" >/usr/local/bin/shopd
printf '#!/bin/sh\\n%s\\necho ended\\n' "$(listens 9000)" >/usr/local/bin/queued
chmod +x /usr/local/bin/*
service shop "command=/usr/local/bin/shopd command_background=yes pidfile=/run/shop.pid"
service queue "command=/usr/local/bin/queued supervisor=supervise-daemon"
service plain "start() { start-stop-daemon --start --background --exec /bin/busybox -- $(listens 8888); }"
service loose "start() { setsid $(listens 5000) >/dev/null 2>&1 </dev/null & }"
service once "start() { true; }"
printf '#!/bin/sh\\nsetsid %s >/dev/null 2>&1 </dev/null &\\n' "$(listens 7070)" >/etc/local.d/own.start
chmod +x /etc/local.d/own.start
for name in shop queue plain loose once local; do rc-service $name start >/dev/null || exit 1; done
own=$(ip -o -4 addr show eth0 | while read -r _ _ _ address _; do echo "${address%/*}"; done)
setsid nc -lk -s ::ffff:127.0.0.1 -p 8081 -e cat >/dev/null 2>&1 </dev/null &
setsid nc -lk -s "::ffff:$own" -p 8000 -e cat >/dev/null 2>&1 </dev/null &
for _ in 1 2 3 4 5 6 7 8 9 10; do [ "$(netstat -ltn | grep -c LISTEN)" = 7 ] && exit 0; sleep 0.2; done
exit 1
"""
SLOW = """
printf '#!/sbin/openrc-run\\nstart() { until [ -e /run/go ]; do sleep 0.1; done; }\\n' >/etc/init.d/slow
chmod +x /etc/init.d/slow
rc-update -q add slow default
setsid openrc default >/dev/null 2>&1 </dev/null &
until [ -e /run/openrc/starting/slow ]; do sleep 0.1; done
"""
GO = "touch /run/go; while pidof openrc; do sleep 0.1; done"


@pytest.fixture
async def client(inventory: Inventory) -> AsyncIterator[httpx.AsyncClient]:
    """The lab's API."""
    async with api_client(inventory.lab) as client:
        yield client


@pytest.mark.parametrize("lab", ["lxc"], indirect=True)
async def test_debian(inventory: Inventory, monitor: Monitor, client: httpx.AsyncClient) -> None:
    """A program by its script, a socket of systemd by what it starts; loopback within IPv6 has no link."""
    await started(client, inventory.lab, 100)
    done = await monitor.clusters.run(
        CLUSTER,
        lambda cluster: cluster.pct("lab").script(
            100, READY + DEBIAN, stdin=LISTEN.encode(), timeout=timedelta(seconds=30)
        ),
    )
    assert done.exit_code == 0, done

    discovery = await monitor.discoverer.discover(QUERY)

    own = f"http://{discovery.address}"
    found = [(each.name, each.kind, each.port, each.url) for each in discovery.services if not each.is_system]
    assert found == [
        ("app.pl", "process", 3000, f"{own}:3000/"),
        ("app.pl", "process", 8080, f"{own}:8080/"),
        ("echo", "systemd", 8888, f"{own}:8888/"),
        ("cockpit", "systemd", 9090, f"{own}:9090/"),
        ("cockpit", "systemd", 7000, None),
        (r"we\x2dird", "systemd", 7001, None),
        ("app.pl", "process", 8081, None),
    ]


@pytest.mark.parametrize("lab", ["lxc"], indirect=True)
async def test_debian_that_hangs(inventory: Inventory, monitor: Monitor, client: httpx.AsyncClient) -> None:
    """What systemd does not say costs some seconds, not the rest of the discovery."""
    await started(client, inventory.lab, 100)
    mark = f"mark-{uuid.uuid4()}"
    done = await monitor.clusters.run(
        CLUSTER,
        lambda cluster: cluster.pct("lab").script(
            100, READY + 'touch "/run/$1"', (mark,), timeout=timedelta(seconds=30)
        ),
    )
    assert done.exit_code == 0, done
    init_pid = next(
        int(path.parts[2]) for path in Path("/proc").glob(f"[0-9]*/root/run/{mark}") if is_init(path)
    )

    os.kill(init_pid, signal.SIGSTOP)
    try:
        discovery = await monitor.discoverer.discover(QUERY)
    finally:
        os.kill(init_pid, signal.SIGCONT)

    assert discovery.address is not None


def is_init(path: Path) -> bool:
    """Return whether the process below whose folder a path is has the id 1 in its guest."""
    status = Path(*path.parts[:3], "status").read_text()
    return re.search(r"^NSpid:.*\t1$", status, re.MULTILINE) is not None


async def test_alpine(alpine_cluster: Cluster) -> None:
    """Each service of OpenRC once, whatever its process is called; steps of the boot are the system's."""
    await alpine.boot(alpine_cluster)
    pct = alpine_cluster.pct("lab")
    prepared = await pct.script(100, BOOTED + ALPINE, timeout=timedelta(seconds=30))
    assert prepared.exit_code == 0, prepared

    done = await pct.script(100, SCRIPT, ("mark",), timeout=timedelta(seconds=13))

    outputs = sections(done.stdout, "mark")
    own_addresses = addresses.parse(outputs["addresses"])
    services = read_services(outputs, own_addresses)
    own = f"http://{own_addresses[0]}"
    assert [(each.name, each.kind, each.port, each.url) for each in services if not each.is_system] == [
        ("loose", "openrc", 5000, f"{own}:5000/"),
        ("nc", "process", 8000, f"{own}:8000/"),
        ("shop", "openrc", 8080, f"{own}:8080/"),
        ("plain", "openrc", 8888, f"{own}:8888/"),
        ("queue", "openrc", 9000, f"{own}:9000/"),
        ("nc", "process", 7070, None),
        ("nc", "process", 8081, None),
    ]
    assert {each.kind for each in services if each.is_system} == {"openrc"}
    assert {"bootmisc", "sysctl", "networking", "once", "local"} <= {
        each.name for each in services if each.is_system
    }


async def test_alpine_that_still_starts(alpine_cluster: Cluster) -> None:
    """It has not settled as long as OpenRC starts a service."""
    await alpine.boot(alpine_cluster)
    pct = alpine_cluster.pct("lab")

    async def has_settled(before: str) -> bool:
        prepared = await pct.script(100, before, timeout=timedelta(seconds=30))
        assert prepared.exit_code == 0, prepared
        done = await pct.script(100, SCRIPT, ("mark",), timeout=timedelta(seconds=13))
        return init.has_settled(sections(done.stdout, "mark")["init"])

    assert [await has_settled(BOOTED + SLOW), await has_settled(GO)] == [False, True]
