"""Ports of this machine's loopback address."""

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


def require_free(port: int) -> None:
    """Raise `PortTaken` if somebody listens on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortTaken(f"port {port} is taken; give another --port ({error.strerror})") from error
