"""How `slipway up` goes on once its command line is read: as a program that imports only what it needs.

That runs for months; what reads command lines would take as much memory as all of its own code. The fork
server is begun first, so that it imports meanwhile.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from slipway.standalone import fork_server

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What stops `up`. They wait while one program becomes the other, which handles them."""


def become(title: Sequence[str], **options: object) -> NoReturn:
    """Become `slipway.standalone.up`.

    Args:
        title: the command line as it is to be seen in lists of processes.
        options: those of `up.Options`, as far as they differ; all can be JSON.
    """
    server, line = fork_server.spawn()
    line.set_inheritable(True)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    order = {"title": " ".join(title), "options": options, "server": server, "line": line.fileno()}
    command = [sys.executable, "-P", "-m", "slipway.standalone.up", json.dumps(order)]
    os.execv(command[0], command)  # noqa: S606 - ourselves


def received(argument: str) -> tuple[str, Mapping[str, Any], tuple[int, socket.socket]]:
    """Return title, options and the fork server from the argument of the program that we became."""
    order = json.loads(argument)
    line = socket.socket(fileno=order["line"])
    line.set_inheritable(False)
    return order["title"], order["options"], (order["server"], line)
