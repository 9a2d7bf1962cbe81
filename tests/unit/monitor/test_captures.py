"""What was printed in genuine guests, as the discovery's script prints it, and the services that it shows.

Each of them listens and runs as somebody may have set it up: with and without a unit, started by a login, by
cron, by a socket, by scripts of OpenRC; bound to any address, to loopback, to IPv4 within IPv6.
"""

from pathlib import Path

from slipway.monitor.discovery.discover import read_services, sections
from slipway.monitor.discovery.probes import addresses

CAPTURES = Path(__file__).with_name("captures")
MARK = "MARK0123"


def shown(name: str) -> list[tuple[str, str, int | None, str | None]]:
    """Return name, kind, port and URL of the services of a guest that are not its system's."""
    outputs = sections((CAPTURES / f"{name}.txt").read_text(), MARK)
    found = read_services(outputs, addresses.parse(outputs["addresses"]))
    return [(each.name, each.kind, each.port, each.url) for each in found if not each.is_system]


def test_debian_with_systemd() -> None:
    """Debian 12: sockets of systemd, nginx, Redis, and programs in Python, Node 24, Ruby and PHP."""
    assert shown("debian-12") == [
        ("nginx", "systemd", 80, "http://10.188.18.50:80/"),
        ("shop-server", "process", 3000, "http://10.188.18.50:3000/"),
        ("gunicorn", "process", 5000, "http://10.188.18.50:5000/"),
        ("http.server", "process", 8000, "http://10.188.18.50:8000/"),
        ("api.js", "process", 8080, "http://10.188.18.50:8080/"),
        ("http.server", "process", 8888, "http://10.188.18.50:8888/"),
        ("cockpit", "systemd", 9090, "http://10.188.18.50:9090/"),
        ("redis-server", "systemd", 6379, None),
        ("other", "systemd", 7001, None),
        ("other", "systemd", 7002, None),
        ("other", "systemd", 7003, None),
        ("echo", "systemd", 7777, None),
        ("ruby", "process", 8001, None),
        ("php", "process", 8002, None),
        ("mapped.py", "process", 8081, None),
        ("mapped.py", "process", 8082, None),
        ("mapped.py", "process", 8083, None),
        ("http.server", "process", 8889, None),
    ]


def test_alpine_with_openrc() -> None:
    """Alpine 3.23: each service once, whatever its process is called; boot steps are the system's."""
    assert shown("alpine-3.23") == [
        ("loose", "openrc", 5000, "http://10.180.239.50:5000/"),
        ("nc", "process", 8000, "http://10.180.239.50:8000/"),
        ("shop", "openrc", 8080, "http://10.180.239.50:8080/"),
        ("plain", "openrc", 8888, "http://10.180.239.50:8888/"),
        ("queue", "openrc", 9000, "http://10.180.239.50:9000/"),
        ("nc", "process", 7070, None),
        ("nc", "process", 8081, None),
    ]
