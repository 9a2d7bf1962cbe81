"""Services are named and ordered as people look for them; facts are told when they have moved."""

from datetime import UTC, datetime, timedelta

import pytest

from slipway.contracts.clusters import NodeFacts, StorageFact
from slipway.monitor.discovery.probes.listener import Listener
from slipway.monitor.discovery.probes.processes import Process
from slipway.monitor.discovery.probes.units import Units
from slipway.monitor.domain import has_moved, services

OWN = ("10.0.0.5", "fd00::5")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 1024**3


def listening(port: int, address: str = "*", process: str | None = None, pid: int | None = None) -> Listener:
    return Listener(protocol="tcp", address=address, port=port, process=process, pid=pid)


def url_of(listener: Listener) -> str | None:
    return services([listener], Units(), {}, OWN)[0].url


@pytest.mark.parametrize(
    ("listener", "url"),
    [
        (listening(80), "http://10.0.0.5:80/"),
        (listening(8443), "https://10.0.0.5:8443/"),
        (listening(7000, process="nginx"), "http://10.0.0.5:7000/"),
        (listening(5432, process="postgres"), "postgresql://10.0.0.5:5432"),
        (listening(80, "fd00::5"), "http://[fd00::5]:80/"),
        (listening(8080, "127.0.0.1"), None),
        (listening(8080, "::1"), None),
        (listening(7000), None),
        (listening(80, process="sshd"), None),
    ],
)
def test_url_leads_where_others_can_go(listener: Listener, url: str | None) -> None:
    """Loopback and unknown protocols have none."""
    assert url_of(listener) == url


def test_own_address_in_the_loopback_range_is_reachable() -> None:
    """Simulated guests live there."""
    assert services([listening(80)], Units(), {}, ["127.70.1.1"])[0].url == "http://127.70.1.1:80/"


def test_unit_names_a_listener() -> None:
    """By its main process, its control group, or a unit of the process' name; else the process itself."""
    units = Units(names=("web", "db", "redis"), main_pids={1: "web"})
    processes = {
        1: Process(name="python3"),
        2: Process(name="postgres", unit="db"),
        3: Process(name="redis"),
        4: Process(name="tool", unit="of-the-host"),
    }
    listeners = [listening(7000 + pid, pid=pid) for pid in (1, 2, 3, 4)]

    found = services(listeners, units, processes, OWN)

    assert [(each.name, each.kind) for each in found] == [
        ("web", "systemd"),
        ("db", "systemd"),
        ("redis", "systemd"),
        ("tool", "process"),
    ]


def test_what_people_look_for_comes_first() -> None:
    """URL before port before none, the system's own last; IPv4 and IPv6 of one port are one."""
    units = Units(names=("worker", "cron", "web", "systemd-resolved"), main_pids={1: "web"})
    listeners = [
        listening(22, process="sshd"),
        listening(6000, "127.0.0.1", process="cache"),
        listening(80, "127.0.0.1", pid=1),
        listening(80, pid=1),
    ]

    found = services(listeners, units, {}, OWN)

    assert [each.name for each in found] == ["web", "cache", "worker", "sshd", "cron", "systemd-resolved"]
    assert found[0].url is not None
    assert [each.is_system for each in found] == [False, False, False, True, True, True]


def facts(
    *, free: int = 50 * GIB, total: int = 100 * GIB, age: timedelta = timedelta(), **more: object
) -> NodeFacts:
    storage = StorageFact(name="local", type="dir", content=("rootdir",), free_bytes=free, total_bytes=total)
    given = {"node": "pve1", "is_online": True, "storages": (storage,), "observed_at": NOW + age} | more
    return NodeFacts.model_validate(given)


@pytest.mark.parametrize(
    ("after", "moved"),
    [
        (facts(age=timedelta(seconds=15)), False),
        (facts(free=50 * GIB - 1000), False),
        (facts(free=48 * GIB), True),
        (facts(total=100 * GIB + 1), False),
        (facts(total=200 * GIB), True),
        (facts(age=timedelta(minutes=5)), True),
        (facts(vmids=(100,)), True),
        (facts(is_online=False), True),
        (facts(storages=()), True),
    ],
)
def test_tiny_movements_are_not_told(after: NodeFacts, moved: bool) -> None:  # noqa: FBT001  an expected value
    """But everything is again after five minutes, so that its age is honest."""
    assert has_moved(facts(), after) is moved
