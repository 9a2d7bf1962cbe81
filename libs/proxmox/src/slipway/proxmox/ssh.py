"""Run commands on a node over SSH.

Theory of operation. Commands share connections (`links`): each takes a session of a connection, and another
connection is opened only when all sessions are taken. Output is read line by line as it comes; a slow reader
slows the command down, it never fills memory.

sshd runs a command through root's login shell, and bash reads `.bashrc` for it: what that prints comes
first. So a mark of ours is printed on each output before the command, and what comes before it is dropped.
A bound key has a forced command on the node, which takes the line apart and prints the mark itself: it knows
this form and the commands of `pct` and `login`, and nothing else. Whoever adds one adds it there as well
(`infra/proxmox/make-token.sh`).

Guarantees: a command is sent at most once. If it certainly did not run the error is `SshRefused`; if the
connection died under it, `CommandLost`. A command that is cancelled or runs out of time gets TERM, and its
standard input ends; `pct` makes sure that what runs in a guest dies of that. Every wait has a deadline.

Non-guarantees: what ignores TERM on the host goes on. Where only an SSH client process dies, its remote
script runs on until its next output; hence nothing here starts one.
"""

import asyncio
import contextlib
import secrets
import signal
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import asyncssh

from slipway.proxmox.access import NodeAccess
from slipway.proxmox.errors import CommandForbidden, CommandLost, CommandTimedOut, SshRefused
from slipway.proxmox.lines import LineCutter
from slipway.proxmox.links import Links
from slipway.proxmox.shell import command_line

BUFFER_BYTES = 4 * 1024 * 1024
"""How much of each output of a command is returned; the end counts more than the beginning."""
MOST_NOISE_BYTES = 500
FORBIDS = "slipway-ssh refused: "
"""How the forced command of `infra/proxmox/make-token.sh` begins a refusal."""
_CHUNK = 64 * 1024
_GOODBYE_SECONDS = 2.0


class Stream(StrEnum):
    """Where a line was written."""

    STDOUT = "stdout"
    STDERR = "stderr"


OnRawLine = Callable[[Stream, bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A command that has ended."""

    exit_code: int
    """128+n when signal n killed it."""
    stdout: str
    stderr: str


class NodeShell:
    """Commands on one node."""

    def __init__(self, access: NodeAccess) -> None:
        self.node = access.name
        """The node's name in Proxmox."""
        self._links = Links(access)

    async def run(self, argv: Sequence[str], *, timeout: timedelta) -> Completed:
        """Run a command to its end; see `stream` for the arguments."""
        collected = Collected()
        code = await self.stream(argv, timeout=timeout, on_line=collected.take)
        return collected.completed(code)

    async def stream(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | AsyncIterator[bytes] = b"",
        hold_stdin: bool = False,
        timeout: timedelta,
        on_line: OnRawLine,
    ) -> int:
        """Run a command to its end and pass on each line of bytes with its newline; return the exit code.

        Args:
            argv: Program and arguments; they show in the node's process list.
            stdin: Written to its standard input, at once or as it comes.
            hold_stdin: Whether the input stays open until the command ends: a lifeline.
            timeout: How long at most, waiting for a connection included.
            on_line: Gets each line as it comes; while it works, nothing more is read.
        """
        mark = secrets.token_hex(8)
        output = _Output(f"{mark}\n".encode(), on_line)
        line = f"printf '\\n%s\\n' {mark}; printf '\\n%s\\n' {mark} >&2; exec {command_line(argv)}"
        try:
            async with within(timeout, self.node, argv[0]):
                code = await self._converse(line, stdin, hold_stdin=hold_stdin, on_line=output.take)
        except asyncssh.Error as error:
            raise self._lost() from error
        if code is None:
            raise self._lost()
        if not output.has_begun:
            self._raise_if_forbidden(output.noise)
            raise SshRefused(
                f"Root's login shell on {self.node} runs no command; it ended with code {code} and printed "
                f"`{output.noise}`. Look at /root/.bashrc there: it must not end the shell.",
                node=self.node,
            )
        return code

    def retire(self) -> None:
        """Close the connections as soon as nothing runs on them; what runs may end."""
        self._links.retire()

    async def aclose(self) -> None:
        """Close all connections; what runs on them is cut off."""
        await self._links.aclose()

    async def _converse(
        self, line: str, stdin: bytes | AsyncIterator[bytes], *, hold_stdin: bool, on_line: OnRawLine
    ) -> int | None:
        async with self._links.process(line) as process:
            try:
                await _together(
                    _read(process.stdout, Stream.STDOUT, on_line),
                    _read(process.stderr, Stream.STDERR, on_line),
                    beside=_feed(process, stdin, hold=hold_stdin),
                )
                await process.wait_closed()
            finally:
                await _end(process)
            return _exit_code(process)

    def _raise_if_forbidden(self, noise: str) -> None:
        _, separator, why = noise.partition(FORBIDS)
        if separator:
            raise CommandForbidden(
                f"The SSH key is bound on {self.node}, whose forced command refused: {why}. To allow more, "
                "run the token script there under the same ID with wider limits.",
                node=self.node,
            )

    def _lost(self) -> CommandLost:
        return CommandLost(
            f"The connection to {self.node} died while a command ran; it may have had its effect.",
            node=self.node,
        )


class _Output:
    """Passes on what a command prints, without what the login shell printed before it."""

    def __init__(self, mark: bytes, on_line: OnRawLine) -> None:
        self._mark = mark
        self._on_line = on_line
        self._begun = set[Stream]()
        self._noise = b""

    @property
    def has_begun(self) -> bool:
        """Whether the command was reached."""
        return Stream.STDOUT in self._begun

    @property
    def noise(self) -> str:
        """The first of what the login shell printed."""
        return " ".join(self._noise.decode("utf-8", errors="replace").split())

    async def take(self, stream: Stream, line: bytes) -> None:
        """Take one line."""
        if stream in self._begun:
            await self._on_line(stream, line)
        elif line == self._mark:
            self._begun.add(stream)
        else:
            self._noise = (self._noise + line)[:MOST_NOISE_BYTES]


class Collected:
    """The last lines of a command's output, up to `BUFFER_BYTES` of each stream."""

    def __init__(self) -> None:
        self._lines: dict[Stream, deque[bytes]] = {stream: deque() for stream in Stream}
        self._sizes = dict.fromkeys(Stream, 0)

    async def take(self, stream: Stream, line: bytes) -> None:
        """Store one line; drop the oldest ones beyond the bound."""
        lines = self._lines[stream]
        lines.append(line)
        self._sizes[stream] += len(line)
        while self._sizes[stream] > BUFFER_BYTES:
            self._sizes[stream] -= len(lines.popleft())

    def completed(self, exit_code: int) -> Completed:
        """Return the result, once the command has ended."""
        texts = {
            stream: b"".join(lines).decode("utf-8", errors="replace") for stream, lines in self._lines.items()
        }
        return Completed(exit_code=exit_code, stdout=texts[Stream.STDOUT], stderr=texts[Stream.STDERR])


@contextlib.asynccontextmanager
async def within(timeout: timedelta, node: str, program: str) -> AsyncIterator[None]:
    """Stop what runs in the block after a while; raise `CommandTimedOut` then."""
    try:
        async with asyncio.timeout(timeout.total_seconds()) as deadline:
            yield
    except TimeoutError as error:
        if not deadline.expired():
            raise
        command = f"A command on {node} ({program})"
        message = f"{command} did not end within {timeout.total_seconds():g} s and was stopped."
        raise CommandTimedOut(message, command=command) from error


async def _feed(
    process: "asyncssh.SSHClientProcess[bytes]", data: bytes | AsyncIterator[bytes], *, hold: bool
) -> None:
    # A command may end without reading all that it was sent.
    with contextlib.suppress(BrokenPipeError, ConnectionError):
        async for chunk in _chunks(data) if isinstance(data, bytes) else data:
            process.stdin.write(chunk)
            await process.stdin.drain()
        if not hold:
            process.stdin.write_eof()


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), _CHUNK):
        yield data[start : start + _CHUNK]


async def _read(reader: "asyncssh.SSHReader[bytes]", stream: Stream, on_line: OnRawLine) -> None:
    cutter = LineCutter()
    while chunk := await _chunk(reader):
        for line in cutter.feed(chunk):
            await on_line(stream, line)
    if rest := cutter.rest():
        await on_line(stream, rest)


async def _chunk(reader: "asyncssh.SSHReader[bytes]") -> bytes:
    try:
        return await reader.read(_CHUNK)
    except OSError as error:
        # A reset connection comes through as it is.
        raise asyncssh.ConnectionLost(str(error)) from error


async def _end(process: "asyncssh.SSHClientProcess[bytes]") -> None:
    """Stop the command if it still runs, and give its session back."""
    with contextlib.suppress(OSError, asyncssh.Error, TimeoutError):
        if _exit_code(process) is None:
            process.terminate()
        process.close()
        async with asyncio.timeout(_GOODBYE_SECONDS):
            await process.wait_closed()


def _exit_code(process: "asyncssh.SSHClientProcess[bytes]") -> int | None:
    if process.exit_signal is not None:
        number = getattr(signal, f"SIG{process.exit_signal[0]}", signal.SIGKILL)
        return 128 + int(number)
    return process.exit_status


async def _together(*jobs: Coroutine[None, None, None], beside: Coroutine[None, None, None]) -> None:
    """Await all jobs; what runs beside ends with them. The first error ends all and is raised as it is."""
    tasks = [asyncio.create_task(job) for job in jobs]
    other = asyncio.create_task(beside)
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in (other, *tasks):
            task.cancel()
        await asyncio.gather(other, *tasks, return_exceptions=True)
