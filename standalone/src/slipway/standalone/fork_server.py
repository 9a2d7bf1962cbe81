"""The fork server: it has imported what all services share, and forks a process of `up` for each order.

Theory of operation. To import Python's packages is most of a service's start and half of its memory. So
`slipway up` first becomes this module (`begin`): it imports them once, and forks. The child is the server;
the parent goes on as `up`, and shares the pages. An order is JSON and two pipes, for the output and for the
word to begin; the server forks twice, so that `up`, which is a subreaper meanwhile, becomes the parent of the
new process. What it is to run is what Python takes: `-m MODULE ARGUMENT...` or `-c CODE`.

Guarantees. Nothing secret is here: `up` begins with a clean environment, reads its real one, and files of
secrets, only after the fork. Nothing but imports has run, and there is one thread. A process that was forked
lives on when the server dies, and dies with `up`.

Non-guarantees. Of a service's own packages nothing is imported here: what they register at import (metrics)
would be seen in every service.
"""

import gc
import importlib
import json
import os
import random
import runpy
import signal
import socket
import sys
import time
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import setproctitle

from slipway.standalone import confine
from slipway.standalone.environment import plain_environment

MOST_BYTES = 256 * 1024
"""Of one order."""
SHARED = (
    "slipway.runtime.process.main",
    "slipway.runtime.database.outbox",
    "slipway.runtime.secrets.sealing",
    "slipway.proxmox.detached",
    "slipway.proxmox.hosts",
    "slipway.client.client",
    "fastapi",
    "jinja2",
    "uvicorn.protocols.http.httptools_impl",
)
"""What is imported once for all."""
PYTHON = (sys.executable, "-P", "-m", "slipway.standalone.fork_server")


def become(arguments: Sequence[str]) -> NoReturn:
    """Run the command line with these arguments anew, as a fork server's parent."""
    environment = os.memfd_create("environment", 0)
    with os.fdopen(os.dup(environment), "w", encoding="utf-8") as file:
        json.dump(dict(os.environ), file)
    command = [*PYTHON, "begin", str(environment), *arguments]
    os.execve(command[0], command, plain_environment())  # noqa: S606 - ourselves


def begin(environment: int, arguments: Sequence[str]) -> int:
    """Import, fork the server, and go on as the command line; return its exit status.

    Args:
        environment: a descriptor of a file with our real environment, as JSON.
        arguments: of the command line.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Ctrl-C just ends it here; a command that runs handles it itself.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Before the environment changes, beside which the title is written.
    setproctitle.setproctitle(" ".join(["slipway", *arguments]))
    _import_shared()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    up = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        os.close(environment)
        _serve(theirs, up)
        return 0
    theirs.close()
    os.lseek(environment, 0, os.SEEK_SET)
    with os.fdopen(environment, encoding="utf-8") as file:
        _use(json.load(file))
    from slipway.cli.__main__ import main  # noqa: PLC0415 - what it imports the server has no use for
    from slipway.standalone import forks  # noqa: PLC0415

    forks.adopt(pid, ours)
    return main(arguments)


def _import_shared() -> None:
    for name in SHARED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _serve(line: socket.socket, up: int) -> None:
    """Fork a process for each order until `up` is gone; return only in such a process, when it is over."""
    setproctitle.setproctitle("slipway: fork server")
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    confine.die_with(up, signal.SIGKILL)
    while True:
        content, extra, _, _ = line.recvmsg(MOST_BYTES, socket.CMSG_SPACE(2 * array("i").itemsize))
        if not content:
            os._exit(0)
        output, released = array("i", extra[0][2])
        read, write = os.pipe()
        try:
            between = os.fork()
        except OSError as error:
            line.send(json.dumps({"error": str(error)}).encode())
        else:
            if between == 0:
                line.close()
                os.close(read)
                _leave_a_child(write)
                _take_place(json.loads(content), output, released)
                return
            os.close(write)
            write = -1
            pid = os.read(read, 32)
            os.waitpid(between, 0)
            answer = {"pid": int(pid)} if pid else {"error": "no second process"}
            line.send(json.dumps(answer).encode())
        for descriptor in (output, released, read, write):
            if descriptor >= 0:
                os.close(descriptor)


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
    match sys.argv[1:]:
        case ["begin", descriptor, *command_line]:
            sys.exit(begin(int(descriptor), command_line))
        case ["serve", descriptor, parent]:
            _import_shared()
            _serve(socket.socket(fileno=int(descriptor)), int(parent))
