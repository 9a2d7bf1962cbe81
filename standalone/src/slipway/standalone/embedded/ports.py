"""Ports of this machine."""

import errno
import socket

from slipway.cli.errors import CommandFailed

HOST = "127.0.0.1"


class PortTaken(CommandFailed):
    """Somebody listens on the port."""


def free_port() -> int:
    """Find a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int, host: str = HOST) -> None:
    """Raise `PortTaken` if somebody listens on a port, `CommandFailed` if it can't be listened on at all."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise CommandFailed(f"{host} is no address of this machine; give another --host") from error
            raise PortTaken(f"port {port} is taken; give another --port ({error.strerror})") from error
