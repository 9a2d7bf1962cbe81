"""Probes of guests without `ss`, of units, processes and addresses; and the script that holds them all."""

import os
import secrets
import socket
import subprocess
from pathlib import Path

import pytest

from slipway.monitor.discovery.discover import SCRIPT, sections
from slipway.monitor.discovery.probes import (
    addresses,
    credentials,
    kernel_sockets,
    openrc,
    processes,
    sockets,
    systemd,
)

TABLES = """\
tcp sl local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode
tcp 0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 111 1 0000 100 0 0 10 0
tcp 1: 0500000A:C350 0100000A:01BB 01 00000000:00000000 00:00000000 00000000 0 0 112 1 0000 100 0 0 10 0
tcp6 0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 \
00:00000000 00000000 0 0 113 1 0000 100 0 0 10 0
tcp6 1: 0000000000000000FFFF00000708090A:1F40 00000000000000000000000000000000:0000 0A 00000000:00000000 \
00:00000000 00000000 0 0 115 1 0000 100 0 0 10 0
udp 9: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 114 2 0000 0
/proc/1/fd:
lrwx------ 1 root root 64 Jan 1 00:00 9 -> socket:[113]
lrwx------ 1 root root 64 Jan 1 00:00 8 -> socket:[115]
/proc/7/fd:
lrwx------ 1 root root 64 Jan 1 00:00 3 -> socket:[113]
lrwx------ 1 root root 64 Jan 1 00:00 4 -> 'socket:[111]'
"""


def test_kernel_tables_are_read_where_ss_is_missing() -> None:
    """Only waiting sockets, with the process that serves them; IPv4 within IPv6 is IPv4."""
    seen = [(one.protocol, one.address, one.port, one.pid) for one in sockets.parse(TABLES)]

    assert seen == [
        ("tcp", "127.0.0.1", 8080, 7),
        ("tcp", "*", 80, 7),
        ("tcp", "10.9.8.7", 8000, 1),
        ("udp", "0.0.0.0", 68, None),  # noqa: S104  read, not bound
    ]


def test_kernel_tables_of_this_machine_are_read() -> None:
    """The command and its parser fit."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        output = shell(kernel_sockets.COMMAND)

        seen = {(one.port, one.pid) for one in kernel_sockets.parse(output)}

        assert (listening.getsockname()[1], os.getpid()) in seen


@pytest.mark.parametrize("order", [1, -1])
def test_units_are_read_in_either_order(order: int) -> None:
    """Systemd writes properties in an order of its own, and a paragraph for each unit."""
    units = (["MainPID=12", "Id=nginx.service"], ["MainPID=0", "Id=cron.service"])
    output = "nginx.service\ncron.service\n\n" + "\n\n".join("\n".join(unit[::order]) for unit in units)

    result = systemd.parse(output)

    assert result.names == ("nginx", "cron")
    assert result.main_pids == {12: "nginx"}


@pytest.mark.parametrize(
    ("identity", "triggers", "unit"),
    [
        ("cockpit.socket", "cockpit.service", "cockpit"),
        (r"we\x2dird.socket", r'"we\\x2dird.service"', r"we\x2dird"),
        (r"we\x2dird.socket", r'"we\\x2dird.service" other.service', r"we\x2dird"),
        (r"we\x2dird.socket", "", r"we\x2dird"),
        (r"we\x2dird.socket", r'"we\\x2d', r"we\x2dird"),
        ("echo.socket", "echo@0-10.0.0.5:7-10.0.0.1:4.service", "echo"),
    ],
)
def test_socket_has_the_unit_that_it_triggers(identity: str, triggers: str, unit: str) -> None:
    """Systemd quotes a name with a backslash where it lists names, and nowhere else."""
    output = f"ssh.service\n\nId={identity}\nTriggers={triggers}\nListen=[::]:9090 (Stream)\n"

    (socket,) = systemd.parse(output).sockets

    assert (socket.unit, socket.port) == (unit, 9090)


def test_started_services_of_openrc_are_read() -> None:
    """Alpine's way to say it; one without a process has run to its end."""
    output = (
        "Runlevel: default\n nginx            [  started 00:01:10 (0) ]\n crond     [  stopped  ]\n"
        " hostname      [  started  ]\n/run/openrc/options/nginx/child_pid:12\n"
    )

    result = openrc.parse(output)

    assert (result.kind, result.names, result.steps) == (
        "openrc",
        ("nginx", "hostname"),
        frozenset({"hostname"}),
    )
    assert result.main_pids == {12: "nginx"}


def test_processes_are_read_with_their_units() -> None:
    """Both versions of control groups; the innermost unit counts, and a name may have spaces and brackets."""
    output = (
        "/proc/1/stat:1 (init) S 0 1 1 0 -1\n/proc/1/cgroup:0::/init.scope\n"
        "/proc/7/stat:7 (nginx) S 1 7 7 0 -1\n/proc/7/cgroup:0::/system.slice/nginx.service\n"
        "/proc/8/stat:8 (my) app) x) S 1 8 7 0 -1\n"
        "/proc/8/cgroup:1:name=systemd:/user@0.service/app.service/x\n"
        "/proc/9/stat:9 (web) S 1 9 9 0 -1\n/proc/9/cgroup:0::/openrc.web\n"
        "lrwxrwxrwx 1 root root 0 Nov 29 12:10 /proc/9/exe -> /opt/my web/webd (deleted)\n"
    )

    read = processes.parse(output)

    assert [(pid, each.name, each.unit, each.session) for pid, each in read.items()] == [
        (1, "init", None, 1),
        (7, "nginx", "nginx", 7),
        (8, "my) app) x", "app", 7),
        (9, "webd", "web", 9),
    ]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            (
                "1: lo    inet 127.0.0.1/8 scope host lo\n"
                "2: docker0    inet 172.17.0.1/16 scope global docker0\n"
                "3: eth0@if9    inet6 fd00::5/64 scope global\n"
                "3: eth0@if9    inet 10.0.0.5/24 brd 10.0.0.255 scope global eth0\n"
                "3: eth0@if9    inet6 fe80::1/64 scope link\n"
            ),
            ("10.0.0.5", "fd00::5"),
        ),
        (
            (
                "1: lo    inet 127.0.0.1/8 scope host lo\n"
                "1: lo    inet 127.0.0.2/8 scope host secondary lo\n"
                "1: lo    inet 192.0.2.1/32 scope global lo\n"
                "2: br-lan    inet 10.0.0.5 peer 10.0.0.1/32 scope global br-lan\n"
                "3: br-0123456789ab    inet 172.18.0.1/16 scope global br-0123456789ab\n"
            ),
            ("10.0.0.5", "192.0.2.1"),
        ),
        (
            (
                "2: eth0    inet6 fd00::7/64 scope global temporary dynamic \\       valid_lft 5sec\n"
                "2: eth0    inet6 fd00::8/64 scope global deprecated \\       valid_lft 5sec\n"
                "2: eth0    inet6 fd00::5/64 scope global dynamic mngtmpaddr \\       valid_lft 5sec\n"
            ),
            ("fd00::5", "fd00::7", "fd00::8"),
        ),
        ("2: eth0    inet 169.254.9.9/16 brd 10.0.0.255 scope link eth0\n", ()),
        ("10.0.0.5 fd00::5 \n", ("10.0.0.5", "fd00::5")),
        ("sh: ip: not found\n", ()),
        ("Main:\n  |-- 127.0.0.1\n     /32 host LOCAL\n  |-- 10.0.0.0\n     /24 link UNICAST\n", ()),
    ],
)
def test_likely_address_comes_first(output: str, expected: tuple[str, ...]) -> None:
    """Those of bridges for guests of the guest, loopback and link-local ones do not count."""
    assert addresses.parse(output) == expected


def test_addresses_of_the_kernel_are_read_where_ip_is_missing(tmp_path: Path) -> None:
    """Those that `ip` says of this machine; no loopback, and none that only its link has."""
    (tmp_path / "cat").symlink_to("/bin/cat")
    bare = subprocess.run(
        ["/bin/sh", "-c", addresses.COMMAND],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(tmp_path)},
    ).stdout

    read = addresses.parse(bare)

    assert set(addresses.parse(shell("ip -o addr show"))) <= set(read)
    assert not {address for address in read if address.startswith(("127.", "fe80"))}
    assert "host LOCAL" in bare


def test_script_separates_the_probes() -> None:
    """It runs in any POSIX shell and ends well, whatever is missing."""
    marker = secrets.token_hex()

    output = shell(SCRIPT, marker)

    parts = sections(output, marker)
    assert list(parts) == [
        "init",
        "addresses",
        "credentials",
        "sockets",
        "processes",
        "systemd",
        "openrc",
    ]
    assert os.getpid() in processes.parse(parts["processes"])
    assert credentials.parse(parts["credentials"]) == {}


def shell(script: str, *arguments: str) -> str:
    return subprocess.run(
        ["sh", "-c", script, "slipway", *arguments], capture_output=True, text=True, check=True
    ).stdout
