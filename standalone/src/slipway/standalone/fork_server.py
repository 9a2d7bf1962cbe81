"""The fork server: it has imported what all services share, and forks a process of `up` for each order.

Theory of operation. To import Python's packages is most of a service's start and half of its memory. So
`slipway up` begins with this other program (`spawn`), which imports what its processes need, in the order in
which they need it, and forks a process for each order. An order comes between two imports as soon as what it
needs is there. It is JSON and two pipes, for the output and for the word to begin; the server forks twice, so
that `up`, which is a subreaper meanwhile, becomes the parent of the new process. What it is to run is what
Python takes: `-m MODULE ARGUMENT...` or `-c CODE`.

Guarantees. Nothing secret is here: the server has a clean environment and reads no files but Python's.
Nothing but imports has run, and there is one thread. A process that was forked lives on when the server dies,
and dies with `up`.

Non-guarantees. Every process has the modules of all services; so what a service registers for its whole
process (metrics) it must register when it is built, not when it is imported.
"""

import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import time
from array import array
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import setproctitle

from slipway.standalone import confine
from slipway.standalone.environment import plain_environment

MOST_BYTES = 256 * 1024
"""Of one order."""
IMPORTS = (
    "slipway.standalone.upgrade.protect",
    "slipway.standalone.keys",
    "slipway.runtime.process.main",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "slipway.standalone.declare",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.auto",
    "uvicorn.lifespan.off",
    "slipway.standalone.readiness",
    "slipway.catalog.app",
    "slipway.inventory.app",
    "fastapi",
    "pydantic.v1",
    "slipway.gateway.app",
    "slipway.proxmox.hosts",
    "slipway.monitor.app",
    "slipway.provisioner.app",
)
"""What the processes need, in the order in which they are ordered; what a library imports late, too."""
MALLOC = MappingProxyType({"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "131072"})
"""What glibc (`mallopt(3)`) is told when a program begins, so for all that are forked: threads share one
arena, and what is freed at its end goes back to the kernel at once."""
PYTHON = (sys.executable, "-P", "-m", "slipway.standalone.fork_server")


def spawn() -> tuple[int, socket.socket]:
    """Start a server; return its process id, and the line for orders."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        theirs.set_inheritable(True)
        command = [*PYTHON, str(theirs.fileno()), str(os.getpid())]
        # A session of its own: Ctrl-C in a terminal is for `up`.
        return os.posix_spawn(command[0], command, {**plain_environment(), **MALLOC}, setsid=True), ours


def _serve(line: socket.socket) -> None:
    """Import, and fork a process for each order, until `up` is gone."""
    left = [*IMPORTS]
    while True:
        if left and not select.select([line], [], [], 0)[0]:
            importlib.import_module(left.pop(0))
            continue
        content, extra, _, _ = line.recvmsg(MOST_BYTES, socket.CMSG_SPACE(2 * array("i").itemsize))
        if not content:
            os._exit(0)
        order = json.loads(content)
        while order["needs"] in left:
            importlib.import_module(left.pop(0))
        output, released = array("i", extra[0][2])
        line.send(json.dumps(_fork(order, output, released, line)).encode())


def _fork(order: Mapping[str, Any], output: int, released: int, line: socket.socket) -> Mapping[str, object]:
    """Fork a process that runs what is ordered, and ends; return the answer to the order."""
    # A collection writes to all that it looks at.
    gc.freeze()
    answer: Mapping[str, object] = {"error": "no second process"}
    read, write = os.pipe()
    try:
        between = os.fork()
    except OSError as error:
        between, answer = -1, {"error": str(error)}
    if between == 0:
        line.close()
        os.close(read)
        _leave_a_child(write)
        _take_place(order, output, released)
        sys.exit()
    for descriptor in (output, released, write):
        os.close(descriptor)
    if between > 0:
        if pid := os.read(read, 32):
            answer = {"pid": int(pid)}
        os.waitpid(between, 0)
    os.close(read)
    return answer


def _leave_a_child(told: int) -> None:
    """Go on in a child of this process, which ends: then `up` is the parent. Its pid is written there."""
    try:
        pid = os.fork()
    except OSError:
        os._exit(1)
    if pid:
        os.write(told, str(pid).encode())
        os._exit(0)
    os.close(told)


def _take_place(order: Mapping[str, Any], output: int, released: int) -> None:
    """Become the ordered process once `up` knows it, and run what it is to run."""
    if not os.read(released, 1):
        os._exit(0)
    os.close(released)
    os.setsid()
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, place)
    os.close(nothing)
    os.close(output)
    _use(order["environment"])
    random.seed()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kind, what, *rest = order["arguments"]
    setproctitle.setproctitle(" ".join(["slipway:", *order["arguments"][1:]]))
    confine.confine(order["confinement"])
    gc.enable()
    sys.argv = [kind, *rest]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own order


def _use(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()


if __name__ == "__main__":
    os.umask(0o022)
    setproctitle.setproctitle("slipway: fork server")
    confine.die_with(int(sys.argv[2]), signal.SIGKILL)
    # What is imported stays, so there is nothing to collect.
    gc.disable()
    # structlog would take it for its own tracebacks, which are not ours.
    sys.modules["rich"] = None  # type: ignore[assignment]  # as Python itself marks what is not there
    _serve(socket.socket(fileno=int(sys.argv[1])))
