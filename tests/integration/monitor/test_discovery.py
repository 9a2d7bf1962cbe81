"""A look into a guest: what listens there, and which credentials its scripts have saved."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from slipway.contracts.configs import HostConfig
from slipway.contracts.container_specs import ContainerSpec, NetworkSpec
from slipway.contracts.containers import Container
from slipway.contracts.guests import DiscoverGuest, Discovery
from slipway.contracts.values import Lifecycle, Power
from slipway.lab import faults
from slipway.monitor.discovery.discover import OTHERS_WAIT, awaits_address, missing_families
from slipway.monitor.discovery.pending import PendingScan
from slipway.monitor.discovery.probes import credentials
from slipway.monitor.settings import MonitorSettings
from slipway.proxmox.errors import ContainerMissing, NotRunning, PctFailed
from slipway.runtime.process import clock
from slipway.runtime.process.ending import end
from slipway.runtime.retry import Deadline
from support.inventory_side import CLUSTER, Inventory, Monitor
from support.lab import api_client, new_container, started
from support.waiting import until

GUESTS = pytest.mark.parametrize(
    "lab", ["simulated", pytest.param("lxc", marks=[pytest.mark.lxc, pytest.mark.slow])], indirect=True
)
QUERY = DiscoverGuest(container="k1", cluster=CLUSTER, node="lab", vmid=100)
LIBRARY = Path(__file__).parents[3] / "infra/lxc/lib/slipway.sh"
PREPARE = """
systemctl is-system-running --wait >/dev/null
apt-get install -y nginx >/dev/null
systemctl enable --now nginx
cat >/opt/slipway.sh
. /opt/slipway.sh
save_credential Nginx status-password "line1
line2=hush-hush
=== other"
save_credential Nginx Status-Password "another"
for _ in 1 2 3 4 5 6 7 8 9 10; do ss -Hltn | grep -q . && exit 0; sleep 0.2; done
"""


@pytest.fixture
async def client(inventory: Inventory) -> AsyncIterator[httpx.AsyncClient]:
    """The lab's API."""
    async with api_client(inventory.lab) as client:
        yield client


async def prepare(monitor: Monitor) -> None:
    done = await monitor.clusters.run(
        CLUSTER,
        lambda cluster: cluster.pct("lab").script(
            100, PREPARE, stdin=LIBRARY.read_bytes(), timeout=timedelta(seconds=30)
        ),
    )
    assert done.exit_code == 0, done


@GUESTS
async def test_services_and_credentials_are_found(
    inventory: Inventory, monitor: Monitor, client: httpx.AsyncClient
) -> None:
    """Named by unit, with a URL; secrets go to inventory only, sealed."""
    await started(client, inventory.lab, 100)
    await prepare(monitor)

    discovery = await monitor.discoverer.discover(QUERY)

    first = discovery.services[0]
    assert (first.name, first.kind, first.port, first.is_system) == ("nginx", "systemd", 80, False)
    assert first.url == f"http://{discovery.address}:80/"
    assert discovery.credentials == ("Nginx/Status-Password", "Nginx/status-password")
    stored = inventory.stored[0]
    assert (stored.container, stored.address, stored.services) == (
        "k1",
        discovery.address,
        discovery.services,
    )
    opened = inventory.sealer("inventory").open(
        stored.credentials[1].value, owner="k1", field="Nginx/status-password"
    )
    assert opened.get_secret_value() == "line1\nline2=hush-hush\n=== other"
    assert "hush-hush" not in stored.model_dump_json() + discovery.model_dump_json()


async def test_guest_that_is_not_running_or_not_there_is_reported(
    inventory: Inventory, monitor: Monitor, client: httpx.AsyncClient
) -> None:
    """Two different errors, and nothing is stored."""
    await new_container(client, inventory.lab, 100)

    with pytest.raises(NotRunning):
        await monitor.discoverer.discover(QUERY)
    with pytest.raises(ContainerMissing):
        await monitor.discoverer.discover(QUERY.model_copy(update={"vmid": 404}))

    assert inventory.stored == []


async def test_a_session_that_was_opened_ahead_is_used(
    inventory: Inventory, monitor: Monitor, client: httpx.AsyncClient
) -> None:
    """The half second of its `pct exec` is over when the question comes; the next one begins its own."""
    await started(client, inventory.lab, 100)
    # Meets a `pct exec` of the probes themselves, and not one that only opens a session.
    inventory.lab.faults.order(faults.CommandFails(match=credentials.FOLDER))
    ahead = QUERY.model_copy(update={"is_ahead": True})

    nothing = [await monitor.discoverer.discover(ahead) for _ in range(2)]
    found = await monitor.discoverer.discover(QUERY)

    assert [each.address for each in nothing] == [None, None]
    assert found.address is not None
    with pytest.raises(PctFailed):
        await monitor.discoverer.discover(QUERY)


async def test_a_session_that_can_not_be_opened_ahead_does_no_harm(
    inventory: Inventory, monitor: Monitor, client: httpx.AsyncClient
) -> None:
    """The question is answered as without it."""
    await new_container(client, inventory.lab, 100)
    await monitor.discoverer.discover(QUERY.model_copy(update={"is_ahead": True}))

    with pytest.raises(NotRunning):
        await monitor.discoverer.discover(QUERY)


async def test_owed_discovery_is_made_up_for(
    inventory: Inventory, monitor: Monitor, settings: MonitorSettings, client: httpx.AsyncClient
) -> None:
    """One that fails keeps no other from being discovered."""
    await started(client, inventory.lab, 100)
    inventory.pending = [container("k0", 404), container("k1", 100)]
    scan = PendingScan(monitor.bus, monitor.discoverer, every=settings.pending_interval)

    await scan.scan()

    assert [each.container for each in inventory.stored] == ["k1"]
    assert [each.id for each in inventory.pending] == ["k0"]


async def test_a_config_that_others_may_have_changed_is_read(
    inventory: Inventory, monitor: Monitor, client: httpx.AsyncClient
) -> None:
    """Also of a stopped container; nobody waits for the next round once a guest has changed."""
    await new_container(client, inventory.lab, 100)
    inventory.unread = [container("k1", 100, Power.STOPPED)]
    scan = PendingScan(monitor.bus, monitor.discoverer, every=timedelta(hours=1))
    scan.look_soon(CLUSTER, 100)

    scanning = asyncio.create_task(scan.run())
    await until(lambda: bool(inventory.configs))
    await end(scanning)

    (stored,) = inventory.configs
    assert (stored.container, stored.config.power, stored.config.pending) == ("k1", Power.STOPPED, {})
    assert stored.config.networks[0].bridge == "vmbr0"
    assert inventory.unread == []


async def test_a_guest_that_has_not_come_up_is_looked_at_again(
    inventory: Inventory, monitor: Monitor, settings: MonitorSettings, client: httpx.AsyncClient
) -> None:
    """What is seen of it meanwhile is stored; its config goes along."""
    await started(client, inventory.lab, 100)
    inventory.lab.faults.order(faults.NeverReady())

    early = await monitor.discoverer.discover(QUERY)
    inventory.lab.faults.clear()
    late = await monitor.discoverer.discover(QUERY)

    assert (early.is_settled, late.is_settled) == (False, True)
    assert [each.is_settled for each in inventory.stored] == [False, True]
    read = [each.config.power for each in inventory.stored if each.config is not None]
    assert (read, inventory.configs) == ([Power.RUNNING, Power.RUNNING], [])


@pytest.mark.parametrize(
    ("devices", "own", "owed"),
    [
        ([NetworkSpec(ip="dhcp")], (), (4,)),
        ([NetworkSpec(ip="dhcp")], ("fd00::5",), (4,)),
        ([NetworkSpec(ip="10.0.0.5/24", ip6="auto")], ("10.0.0.5",), (6,)),
        ([NetworkSpec(ip="manual"), NetworkSpec()], (), ()),
        ([NetworkSpec(ip="dhcp", link_down=True)], (), ()),
    ],
)
def test_an_address_that_should_be_there_is_missed(
    devices: list[NetworkSpec], own: tuple[str, ...], owed: tuple[int, ...]
) -> None:
    """By what the config asks for, for each family."""
    config = HostConfig(read_at=clock.now(), networks=tuple(devices))

    assert missing_families(config, own) == owed


@pytest.mark.parametrize(
    ("devices", "own", "age", "awaits"),
    [
        ([NetworkSpec(ip="dhcp", ip6="auto")], ("10.0.0.5",), timedelta(seconds=5), True),
        ([NetworkSpec(ip="dhcp", ip6="auto")], ("10.0.0.5",), OTHERS_WAIT, False),
        ([NetworkSpec(ip="10.0.0.5/24", ip6="dhcp")], ("10.0.0.5",), OTHERS_WAIT, False),
        ([NetworkSpec(ip6="auto"), NetworkSpec(ip="dhcp")], ("fd00::5",), OTHERS_WAIT, False),
        ([NetworkSpec(ip="dhcp", ip6="auto")], ("10.0.0.5",), None, True),
        ([NetworkSpec(ip="dhcp", ip6="auto")], ("10.0.0.5", "fd00::5"), timedelta(seconds=5), False),
        ([NetworkSpec(ip="dhcp")], (), timedelta(days=1), True),
        ([NetworkSpec(ip6="auto")], (), timedelta(days=1), True),
    ],
)
def test_other_addresses_are_awaited_shortly(
    devices: list[NetworkSpec], own: tuple[str, ...], age: timedelta | None, *, awaits: bool
) -> None:
    """Those of a guest that has one, after its start; one without any is looked at for as long as it runs."""
    at = clock.now()
    config = HostConfig(read_at=at, started_at=at - age if age is not None else None, networks=tuple(devices))

    assert awaits_address(config, own) is awaits


@pytest.mark.slow
async def test_a_guest_without_a_router_settles(
    inventory: Inventory, monitor: Monitor, client: httpx.AsyncClient
) -> None:
    """It has an IPv4 address; the one of IPv6 that its config asks for does not come."""
    await started(client, inventory.lab, 100, net0="name=eth0,bridge=vmbr0,ip=dhcp,ip6=auto")

    async def settled() -> Discovery | None:
        found = await monitor.discoverer.discover(QUERY)
        return found if found.is_settled else None

    early = await monitor.discoverer.discover(QUERY)
    late = await until(settled, within_seconds=OTHERS_WAIT.total_seconds() + 15)

    assert not early.is_settled
    assert late is not None
    assert late.address == early.address is not None
    assert not any(each.has_addresses for each in inventory.stored)


async def test_those_that_are_stopped_hide_no_other(
    inventory: Inventory, monitor: Monitor, settings: MonitorSettings, client: httpx.AsyncClient
) -> None:
    """A round looks at a hundred; the next one goes on behind them, and then from the start."""
    await started(client, inventory.lab, 100)
    stopped = [container(f"a{number}", number, Power.STOPPED) for number in range(1000, 1120)]
    inventory.pending = [*stopped, container("k1", 100)]
    scan = PendingScan(monitor.bus, monitor.discoverer, every=settings.pending_interval)

    await scan.scan()
    await scan.scan()
    inventory.pending = [container("a0", 100), *stopped]
    await scan.scan()

    assert [each.container for each in inventory.stored] == ["k1", "a0"]


async def test_discovery_that_fails_is_tried_less_and_less_often(
    inventory: Inventory, monitor: Monitor, settings: MonitorSettings
) -> None:
    """Each failure doubles the pause; a round within it does not ask the host."""
    inventory.pending = [container("k0", 404)]
    scan = PendingScan(monitor.bus, monitor.discoverer, every=timedelta(seconds=60))

    await scan.scan()
    await scan.scan()
    pending = scan._kinds[1].pending["k0"]
    once = pending.backoff.seconds
    pending.due = Deadline(-1.0)
    await scan.scan()

    assert (once, pending.backoff.seconds) == (120, 240)


def container(name: str, vmid: int, power: Power = Power.RUNNING) -> Container:
    return Container(
        id=name,
        vmid=vmid,
        hostname=name,
        cluster="home",
        cluster_id=CLUSTER,
        node="lab",
        lifecycle=Lifecycle.READY,
        power=power,
        spec=ContainerSpec(hostname=name),
        created_at=clock.now(),
        updated_at=clock.now(),
    )
