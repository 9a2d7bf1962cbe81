"""Probes of guests without `ss`, of units, processes and addresses; and the script that holds them all."""

import os
import socket
import subprocess

import pytest

from slipway.monitor.discovery.discover import SCRIPT, sections
from slipway.monitor.discovery.probes import addresses, credentials, kernel_sockets, processes, sockets, units
from slipway.monitor.discovery.probes.processes import Process

TABLES = """\
tcp sl local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode
tcp 0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 111 1 0000 100 0 0 10 0
tcp 1: 0500000A:C350 0100000A:01BB 01 00000000:00000000 00:00000000 00000000 0 0 112 1 0000 100 0 0 10 0
tcp6 0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 \
00:00000000 00000000 0 0 113 1 0000 100 0 0 10 0
udp 9: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 114 2 0000 0
/proc/7/fd:
lrwx------ 1 root root 64 Jan 1 00:00 3 -> socket:[113]
lrwx------ 1 root root 64 Jan 1 00:00 4 -> 'socket:[111]'
"""


def test_kernel_tables_are_read_where_ss_is_missing() -> None:
    """Only waiting sockets, with the process that has them open."""
    seen = [(one.protocol, one.address, one.port, one.pid) for one in sockets.parse(TABLES)]

    assert seen == [("tcp", "127.0.0.1", 8080, 7), ("tcp", "*", 80, 7), ("udp", "*", 68, None)]


def test_kernel_tables_of_this_machine_are_read() -> None:
    """The command and its parser fit."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        output = shell(kernel_sockets.COMMAND)

        seen = {(one.port, one.pid) for one in kernel_sockets.parse(output)}

        assert (listening.getsockname()[1], os.getpid()) in seen


@pytest.mark.parametrize(
    "output",
    [
        "nginx.service\ncron.service\nId=nginx.service\nMainPID=12\nId=cron.service\nMainPID=0\n",
        "nginx.service\ncron.service\nMainPID=12\nId=nginx.service\n\nMainPID=0\nId=cron.service\n",
    ],
)
def test_units_are_read_in_either_order(output: str) -> None:
    """Systemd writes properties in an order of its own."""
    result = units.parse(output)

    assert result.names == ("nginx", "cron")
    assert result.main_pids == {12: "nginx"}


def test_started_services_of_openrc_are_read() -> None:
    """Alpine's way to say it."""
    output = "Runlevel: default\n nginx            [  started 00:01:10 (0) ]\n crond     [  stopped  ]\n"

    assert units.parse(output).names == ("nginx",)


def test_processes_are_named_with_their_units() -> None:
    """Both versions of control groups; the innermost unit counts."""
    output = (
        "/proc/1/comm:init\n/proc/1/cgroup:0::/init.scope\n"
        "/proc/7/comm:nginx\n/proc/7/cgroup:0::/system.slice/nginx.service\n"
        "/proc/8/comm:app\n/proc/8/cgroup:1:name=systemd:/user@0.service/app.service/x\n"
    )

    assert processes.parse(output) == {
        1: Process(name="init"),
        7: Process(name="nginx", unit="nginx"),
        8: Process(name="app", unit="app"),
    }


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
            ("10.0.0.5", "fd00::5", "172.17.0.1"),
        ),
        ("10.0.0.5 fd00::5 \n", ("10.0.0.5", "fd00::5")),
        ("sh: ip: not found\n", ()),
    ],
)
def test_likely_address_comes_first(output: str, expected: tuple[str, ...]) -> None:
    """Addresses of bridges inside the guest come last, loopback and link-local ones not at all."""
    assert addresses.parse(output) == expected


def test_script_separates_the_probes() -> None:
    """It runs in any POSIX shell and ends well, whatever is missing."""
    output = shell(SCRIPT, "mark")

    parts = sections(output, "mark")
    assert list(parts) == ["addresses", "credentials", "sockets", "processes", "units", "init"]
    assert os.getpid() in processes.parse(parts["processes"])
    assert credentials.parse(parts["credentials"]) == {}


def shell(script: str, *arguments: str) -> str:
    return subprocess.run(
        ["sh", "-c", script, "slipway", *arguments], capture_output=True, text=True, check=True
    ).stdout
