"""The side of `up` that orders processes from the fork server."""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
from array import array
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from slipway.cli.errors import CommandFailed
from slipway.standalone import fork_server
from slipway.standalone.accounts import OURSELVES, Confinement

ANSWER_SECONDS = 60.0
"""A new server has to import everything first."""
LONGEST_LINE_BYTES = 4_000_000
_PR_SET_CHILD_SUBREAPER = 36


class ProcessFailed(CommandFailed):
    """A process did not do its one task; the text says which process and where to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A Python program to run."""

    name: str
    arguments: Sequence[str]
    """Those of Python: `-m MODULE ARGUMENT...` or `-c CODE`; never a secret among them."""
    environment: Mapping[str, str]
    """All of it; secrets only as paths of files."""
    needs: str = fork_server.IMPORTS[-1]
    """Which of the modules that the fork server imports is to be there. What lives long needs the last: to go
    on importing, the server writes to pages that it shares with those it has forked."""
    confinement: Confinement = OURSELVES
    dies_with: signal.Signals = signal.SIGKILL
    """What it gets when the supervisor dies."""


class Process:
    """A process that was forked for us, and is our child."""

    def __init__(self, pid: int, stdout: asyncio.StreamReader) -> None:
        self.pid = pid
        self._stdout = stdout
        self.returncode: int | None = None
        """How it ended: its status, or minus the number of the signal; None while it lives."""
        self._ended = asyncio.Event()
        self._descriptor = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._descriptor, self._reap)

    async def lines(self) -> AsyncIterator[str]:
        """Return each line that it writes, errors too; one of more than `LONGEST_LINE_BYTES` is left out."""
        while True:
            try:
                line = await self._stdout.readline()
            except ValueError:
                yield "(a line of more than 4 MB was left out)"
                continue
            if not line:
                return
            yield line.decode(errors="replace").rstrip("\r\n")

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; none if it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    async def wait(self) -> int:
        """Wait until it has ended; return how."""
        await self._ended.wait()
        return self.returncode or 0

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._ended.set()


class Forks:
    """Processes by order; a server that died is replaced at the next one."""

    def __init__(self, server: tuple[int, socket.socket] | None = None) -> None:
        """Use a server that was spawned before, or a new one."""
        self.pid: int | None = None
        """The server's process id; None once it is closed."""
        self._line: socket.socket | None = None
        self._use(server or fork_server.spawn())
        self._one_order = asyncio.Lock()

    async def launch(self, command: Command) -> Process:
        """Start a program in a process group of its own.

        Raises:
            ProcessFailed: if this machine has no process, memory or descriptor left for it.
        """
        try:
            async with self._one_order:
                return await self._launch(command)
        except (OSError, TimeoutError) as error:
            raise ProcessFailed(f"{command.name} can't be started: {error}") from error

    def close(self) -> None:
        """End the server; what it has forked lives on."""
        if self._line is not None:
            self._line.close()
            self._line = None
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            _reap(self.pid)
            self.pid = None

    async def _launch(self, command: Command) -> Process:
        with contextlib.ExitStack() as ends:
            pipe, output = _pipe(ends)
            released, release = _pipe(ends)
            pid = await self._order(command, output.fileno(), released.fileno())
            try:
                process = Process(pid, await _reader(pipe))
            except BaseException:
                # It waits for its release, and ends without.
                release.close()
                _reap(pid)
                raise
            os.write(release.fileno(), b".")
            ends.pop_all()
            for end in (output, released, release):
                end.close()
            return process

    async def _order(self, command: Command, *descriptors: int) -> int:
        """Have a process forked, as our child; return its id."""
        order = {
            "arguments": list(command.arguments),
            "needs": command.needs,
            "environment": dict(command.environment),
            "confinement": command.confinement.orders(dies_with=command.dies_with),
        }
        content = json.dumps(order).encode()
        answer = await self._exchange(content, descriptors) if self._line is not None else b""
        if not answer:
            self.close()
            self._use(fork_server.spawn())
            answer = await self._exchange(content, descriptors)
        told = json.loads(answer or b"{}")
        if "pid" not in told:
            raise OSError(told.get("error", "the fork server died"))
        return int(told["pid"])

    async def _exchange(self, content: bytes, descriptors: Sequence[int]) -> bytes:
        """Return the server's answer to an order; empty if it is dead."""
        if self._line is None:
            return b""
        _adopt_orphans(is_wanted=True)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._line.sendmsg(
                    [content], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))]
                )
                return await asyncio.get_running_loop().sock_recv(self._line, fork_server.MOST_BYTES)
        except (BrokenPipeError, ConnectionError):
            return b""
        except BaseException:
            # A later answer would be taken for that to another order.
            self.close()
            raise
        finally:
            _adopt_orphans(is_wanted=False)

    def _use(self, server: tuple[int, socket.socket]) -> None:
        self.pid, self._line = server
        self._line.settimeout(0)


def _pipe(ends: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    read, write = os.pipe()
    return (
        ends.enter_context(os.fdopen(read, "rb", buffering=0)),
        ends.enter_context(os.fdopen(write, "wb", buffering=0)),
    )


async def _reader(pipe: IO[bytes]) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LONGEST_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


def _adopt_orphans(*, is_wanted: bool) -> None:
    """Become the parent of processes below us whose own one ends, or leave them to the system."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(is_wanted), 0, 0, 0)


def _reap(pid: int) -> None:
    """Wait for a child that ends at once."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
