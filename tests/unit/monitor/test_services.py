"""Services are named and ordered as people look for them."""

import pytest

from slipway.monitor.discovery.probes.listener import Listener
from slipway.monitor.discovery.probes.processes import Process
from slipway.monitor.discovery.probes.units import Units, UnitSocket
from slipway.monitor.discovery.services import services

OWN = ("10.0.0.5", "fd00::5")


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
        (listening(80, "0.0.0.0"), "http://10.0.0.5:80/"),  # noqa: S104
        (listening(80, "::"), "http://[fd00::5]:80/"),
        (listening(80, "172.17.0.1"), None),
        (listening(80, "fe80::1"), None),
        (listening(80, "127.0.0.2"), None),
        (listening(8080, "127.0.0.1"), None),
        (listening(8080, "::1"), None),
        (listening(7000), None),
        (listening(80, process="sshd"), None),
    ],
)
def test_url_leads_where_others_can_go(listener: Listener, url: str | None) -> None:
    """By the address family; loopback, addresses that nobody outside has, and unknown protocols have none."""
    assert url_of(listener) == url


def test_own_address_in_the_loopback_range_is_reachable() -> None:
    """Simulated guests live there."""
    assert services([listening(80)], Units(), {}, ["127.70.1.1"])[0].url == "http://127.70.1.1:80/"


def test_unit_names_a_listener() -> None:
    """By its main process, its control group, or a unit of the process' name; else the process itself."""
    units = Units(names=("web", "db", "redis"), main_pids={1: "web"})
    processes = {
        1: Process(name="python3", session=1001),
        2: Process(name="postgres", unit="db"),
        3: Process(name="redis"),
        4: Process(name="tool", unit="of-the-host"),
        5: Process(name="helper", session=1001),
    }
    listeners = [listening(7000 + pid, pid=pid) for pid in (1, 2, 3, 4, 5)]

    result = services(listeners, units, processes, OWN)

    assert [(each.name, each.kind) for each in result] == [
        ("web", "systemd"),
        ("db", "systemd"),
        ("redis", "systemd"),
        ("tool", "process"),
        ("web", "systemd"),
    ]


@pytest.mark.parametrize(
    ("bound", "listener"), [("::", "*"), ("::", "::"), ("*", "*"), ("127.0.0.1", "127.0.0.1")]
)
def test_a_socket_of_systemd_has_the_name_of_what_it_starts(bound: str, listener: str) -> None:
    """Whether or not that runs yet."""
    waiting = UnitSocket(protocol="tcp", address=bound, port=9090, unit="cockpit")
    other = UnitSocket(protocol="tcp", address="10.9.9.9", port=9090, unit="other")

    (result,) = services([listening(9090, listener, "systemd", 1)], Units(sockets=(other, waiting)), {}, OWN)

    assert (result.name, result.kind, result.is_system) == ("cockpit", "systemd", False)


def test_what_a_login_or_a_job_of_cron_runs_is_somebody_elses() -> None:
    """It lives in the control group of ssh or cron, but is no part of the system."""
    units = Units(names=("cron", "postfix@-"), main_pids={1000: "cron", 1001: "postfix@-"})
    processes = {
        1000: Process(name="cron", unit="cron", session=1000),
        1001: Process(name="master", unit="postfix@-", session=1001),
        1002: Process(name="server.js", unit="cron", session=1000),
        1003: Process(name="cron", unit="cron", session=1000),
        1004: Process(name="smtpd", unit="postfix@-", session=1001),
    }

    result = services(
        [listening(8000, pid=1002), listening(6001, pid=1003), listening(6002, pid=1004)],
        units,
        processes,
        OWN,
    )

    assert [(each.name, each.is_system) for each in result] == [
        ("server.js", False),
        ("cron", True),
        ("postfix@-", True),
    ]


@pytest.mark.parametrize("name", ["local", "rc-local"])
def test_what_a_boot_script_starts_is_its_own(name: str) -> None:
    """By environment, control group or session; the script's service is the system's."""
    units = Units(names=(name, "redis"), main_pids={1: name})
    processes = {
        1: Process(name="app.py", session=7),
        2: Process(name="shop", unit=name),
        3: Process(name="helper", session=7),
        4: Process(name="redis", unit=name),
    }

    found = services([listening(7000 + pid, pid=pid) for pid in processes], units, processes, OWN)

    assert [(each.name, each.port, each.is_system) for each in found] == [
        ("app.py", 7001, False),
        ("shop", 7002, False),
        ("helper", 7003, False),
        ("redis", 7004, False),
        (name, None, True),
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

    result = services(listeners, units, {}, OWN)

    assert [each.name for each in result] == ["web", "cache", "worker", "sshd", "cron", "systemd-resolved"]
    assert result[0].url is not None
    assert [each.is_system for each in result] == [False, False, False, True, True, True]
