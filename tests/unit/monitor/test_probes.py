"""What is read from a guest's own words."""

import subprocess
from pathlib import Path

import pytest

from slipway.monitor.discovery.probes import credentials, sockets

EVERY_IPV4 = "0.0.0.0"  # noqa: S104  read, not bound
SS = """\
tcp   LISTEN 0      511          0.0.0.0:80        0.0.0.0:*  users:(("nginx",pid=311,fd=5),("nginx",pid=310))
tcp   LISTEN 0      511             [::]:80           [::]:*    users:(("nginx",pid=311,fd=6))
tcp   LISTEN 0      244        10.0.0.5:5432      0.0.0.0:*    users:(("postgres",pid=412,fd=6))
tcp   LISTEN 0      128   [fe80::1]%eth0:22           [::]:*
tcp   LISTEN 0      128  [::ffff:127.0.0.1]:8081            *:*    users:(("app",pid=7,fd=3))
tcp   LISTEN 0      128  [::ffff:0.0.0.0]:8083              *:*    users:(("app",pid=7,fd=4))
tcp   LISTEN 0      4096                *:9090              *:*    users:(("systemd",pid=1),("cockpit",pid=8))
tcp   LISTEN 0      4096                *:7002              *:*    users:(("systemd",pid=1,fd=29))
udp   UNCONN 0      0      127.0.0.53%lo:53        0.0.0.0:*    users:(("systemd-resolve",pid=99,fd=13))
nonsense
"""


def test_every_listener_is_seen() -> None:
    """Specific addresses, IPv4 within IPv6, UDP, sockets without a process or of systemd."""
    seen = [(one.protocol, one.address, one.port, one.process) for one in sockets.parse(SS)]

    assert seen == [
        ("tcp", EVERY_IPV4, 80, "nginx"),
        ("tcp", "::", 80, "nginx"),
        ("tcp", "10.0.0.5", 5432, "postgres"),
        ("tcp", "fe80::1", 22, None),
        ("tcp", "127.0.0.1", 8081, "app"),
        ("tcp", EVERY_IPV4, 8083, "app"),
        ("tcp", "*", 9090, "cockpit"),
        ("tcp", "*", 7002, "systemd"),
        ("udp", "127.0.0.53", 53, "systemd-resolve"),
    ]


@pytest.mark.parametrize("output", ["", "sh: ss: not found\n", "\x00\xff\n"])
def test_guest_without_ss_has_no_listeners(output: str) -> None:
    """A guest that can't say is not an error."""
    assert sockets.parse(output) == ()


def test_credentials_are_named_by_service_and_key() -> None:
    """Values keep every character after the first equals sign; a line without a mark is no part of a file."""
    secrets = credentials.parse("=nginx\n:# note\n:status-password=a=b c\n\nx=y\n=db\n:user=app\n:broken\n")

    assert {name: value.get_secret_value() for name, value in secrets.items()} == {
        "nginx/status-password": "a=b c",
        "db/user": "app",
    }


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        (":key:base64=bGluZTEKbGluZTI9YWJjCg==", "app/key", "line1\nline2=abc\n"),
        (":key:base64=not base64", "app/key:base64", "not base64"),
        (":key:base64=/w==", "app/key:base64", "/w=="),
        (":key=a\u2028b\x0bc\x85d", "app/key", "a\u2028b\x0bc\x85d"),
        (":key=dos\r", "app/key", "dos"),
        (":- other=1", "app/- other", "1"),
    ],
)
def test_credential_is_whole(line: str, name: str, value: str) -> None:
    """Only a line feed ends a line; what can't be decoded into text is shown as it is stored."""
    secrets = credentials.parse(f"=app\n{line}\n")

    assert {name: value.get_secret_value() for name, value in secrets.items()} == {name: value}


@pytest.mark.parametrize("line", ["a\0b=1", "=1", f"a={'x' * (credentials.MOST_CHARACTERS + 1)}"])
def test_credential_that_can_not_be_stored_is_left_out(line: str) -> None:
    """No database takes a NUL, no message a file; the others are still found."""
    assert list(credentials.parse(f"=app\n:{line}\n:c=2\n")) == ["app/c"]


def test_credential_that_was_cut_off_is_left_out() -> None:
    """A part of a value is no value; names of any script are read."""
    found = credentials.parse("=app\n:nb\u00a0sp=1\n:zw\u200bx=2\n:key=whole\n\n=big\n:key=hal")

    assert list(found) == ["app/nb\u00a0sp", "app/zw\u200bx", "app/key"]


def test_credentials_are_not_shown_by_accident() -> None:
    """What is printed of them is a mask."""
    secrets = credentials.parse("=a\n:key=hush\n")

    assert list(secrets) == ["a/key"]
    assert "hush" not in repr(secrets)


def test_command_prints_what_parse_reads(tmp_path: Path) -> None:
    """The two halves of the probe fit, whatever stands in the files, and what they are called."""
    (tmp_path / "one").write_text("key=1")
    (tmp_path / "two").write_text("key=2\n=three\n=== four\nx=3\n")
    (tmp_path / "a\n=five").write_text("key=4\n")
    command = credentials.COMMAND.replace(credentials.FOLDER, str(tmp_path))

    output = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout

    assert sorted(credentials.parse(output)) == ["one/key", "two/key", "two/x"]
