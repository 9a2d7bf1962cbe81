"""Small real servers in place of packages that a simulated guest cannot install.

Each runs as a process of its own inside the guest, named like the program it stands for, and says what it
is. Enough for a health check by HTTP, for `ss` and for a client that only knocks; not for real work.
"""

import functools
import http.server
import mimetypes
import re
import socketserver
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

SERVER = "nginx/1.22.1 (simulated by Slipway's lab)"
SITES = Path("/etc/nginx/sites-enabled")
POSTGRES = Path("/etc/postgresql")
SSL_REQUESTS = (80877103, 80877104)
"""Codes of the two encryption requests that may come before PostgreSQL's start-up message."""


class Pages(http.server.SimpleHTTPRequestHandler):
    """Static files under nginx's root."""

    server_version = SERVER
    sys_version = ""


class Knock(socketserver.StreamRequestHandler):
    """PostgreSQL's greeting up to the point where a password would be asked for."""

    def handle(self) -> None:
        """Refuse encryption, then refuse the session with a proper error message."""
        while len(head := self.rfile.read(8)) == 8:  # noqa: PLR2004 - two 32-bit numbers
            length, code = struct.unpack("!II", head)
            if code not in SSL_REQUESTS:
                self.rfile.read(min(length - 8, 10000))
                break
            self.wfile.write(b"N")
        fields = b"SFATAL\0C0A000\0Ma simulated guest answers, but holds no database\0\0"
        self.wfile.write(b"E" + struct.pack("!I", len(fields) + 4) + fields)


class Greeting(socketserver.StreamRequestHandler):
    """The first line of an SSH server."""

    def handle(self) -> None:
        """Say the version, then hang up."""
        self.wfile.write(b"SSH-2.0-Simulated by the lab of Slipway\r\n")


class Server(socketserver.ThreadingTCPServer):
    """One listener."""

    allow_reuse_address = True
    daemon_threads = True


def nginx() -> None:
    """Serve the first enabled site's root on its port."""
    mimetypes.init()
    site = next((path.read_text(errors="replace") for path in sorted(SITES.glob("*"))), "")
    port = _first(r"^\s*listen\s+(?:[^\s;]*:)?(\d+)", site, "80")
    folder = _first(r"^\s*root\s+([^\s;]+)", site, "/var/www/html")
    handler = functools.partial(Pages, directory=folder)
    with Server(("", int(port)), handler) as server:
        server.serve_forever()


def postgres() -> None:
    """Listen where `listen_addresses` and `port` say."""
    configs = sorted([*POSTGRES.glob("*/main/postgresql.conf"), *POSTGRES.glob("*/main/conf.d/*.conf")])
    text = "\n".join(path.read_text(errors="replace") for path in configs)
    address = _last(r"^\s*listen_addresses\s*=\s*'([^']*)'", text, "localhost")
    port = _last(r"^\s*port\s*=\s*(\d+)", text, "5432")
    with Server(("127.0.0.1" if address == "localhost" else "", int(port)), Knock) as server:
        server.serve_forever()


def sshd() -> None:
    """Listen on port 22."""
    with Server(("", 22), Greeting) as server:
        server.serve_forever()


def _first(pattern: str, text: str, otherwise: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else otherwise


def _last(pattern: str, text: str, otherwise: str) -> str:
    matches: list[str] = re.findall(pattern, text, re.MULTILINE)
    return matches[-1] if matches else otherwise


STAND_INS: Mapping[str, Callable[[], None]] = {"nginx": nginx, "postgresql": postgres, "ssh": sshd}
