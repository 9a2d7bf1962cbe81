"""Many commands in a container through one `pct exec`.

Theory of operation. `pct exec` costs half a second before its command begins. A session starts a small shell
in the guest (`guest/session.sh`) and passes it one command after the other; what each prints lies between
marks that no guest can guess, and which are no argument that a guest could read. A command takes the session
only if that is free: what runs beside another, as the end of a cancelled script does, has a `pct exec` of its
own.

Guarantees: those of a `pct exec`. A command is sent at most once. It dies when it is cancelled, runs out of
time or loses its connection, and the session with it; the next command opens another. What can't be run
through a session, or certainly did not begin in it, is left to the caller.

Non-guarantees: a last line without an end gets one.
"""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from slipway.proxmox.errors import CommandLost
from slipway.proxmox.protocols import Shell
from slipway.proxmox.shell import command_line
from slipway.proxmox.ssh import OnRawLine, Stream, within

MOST_INPUT_BYTES = 48 * 1024
"""Of one command: the guest's shell reads it byte by byte."""
LASTS = timedelta(days=7)
"""A session that is open for longer is ended; each command has a deadline of its own."""
CLOSE_SECONDS = 1.0
_LINE_BYTES = 3 * 1024


class GuestSession:
    """Commands in one container, one at a time."""

    def __init__(self, shell: Shell, vmid: int, opening: Sequence[str]) -> None:
        """Open nothing yet.

        Args:
            shell: the container's node.
            vmid: the container.
            opening: the command on the node that opens a session in it.
        """
        self.vmid = vmid
        self._shell = shell
        self._opening = opening
        self._channel: _Channel | None = None
        self._lock = asyncio.Lock()

    async def stream(
        self, argv: Sequence[str], *, stdin: bytes, timeout: timedelta, on_line: OnRawLine
    ) -> int | None:
        """Run a command to its end, passing on each line of its output; see `NodeShell.stream`.

        Returns:
            Its exit code; None if it was not begun, and needs a `pct exec` of its own.
        """
        if self._lock.locked() or len(stdin) > MOST_INPUT_BYTES:
            return None
        async with self._lock:
            code = None
            try:
                async with within(timeout, self._shell.node, argv[0]):
                    code = await self._run(argv, stdin, on_line)
            finally:
                if code is None:
                    await self._drop()
            return code

    async def aclose(self) -> None:
        """End the session in good order."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.aclose()

    async def _run(self, argv: Sequence[str], stdin: bytes, on_line: OnRawLine) -> int | None:
        if self._channel is None or self._channel.is_over:
            await self._drop()
            self._channel = _Channel(self._shell, self._opening)
        return await self._channel.run(argv, stdin, on_line)

    async def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.abort()


class _Channel:
    """One `pct exec` with the guest's end of a session."""

    def __init__(self, shell: Shell, opening: Sequence[str]) -> None:
        self._mark = f"slipway-{secrets.token_hex(8)}"
        self._input: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._node = shell.node
        self._is_used = False
        self._can_feed = False
        self._command: _Command | None = None
        self._ready = asyncio.Event()
        self._input.put_nowait(f"{self._mark}\n".encode())
        self._serving = asyncio.create_task(self._serve(shell, opening))

    @property
    def is_over(self) -> bool:
        """Whether nothing can be run through it any more."""
        return self._serving.done()

    async def run(self, argv: Sequence[str], stdin: bytes, on_line: OnRawLine) -> int | None:
        """Run a command; return its exit code, or None if it was not begun."""
        command, line = _Command(on_line), command_line(argv)
        if not await self._until(self._ready):
            self._serving.result()
            return None
        if stdin and not self._can_feed:
            return None
        self._command = command
        self._send(line, stdin)
        if await self._until(command.ended):
            return command.exit_code
        self._serving.result()
        if command.has_begun:
            raise CommandLost(f"The session in the container on {self._node} ended while a command ran.")
        return None

    async def aclose(self) -> None:
        """End it in good order."""
        self._input.put_nowait(None)
        await asyncio.wait({self._serving}, timeout=CLOSE_SECONDS)
        await self.abort()

    async def abort(self) -> None:
        """End it at once."""
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)

    def _send(self, line: str, stdin: bytes) -> None:
        head = "more\n" if self._is_used else ""
        self._is_used = True
        parts = [f"{head}{'feed' if stdin else 'run'}\n{line}\n{self._mark}\n".encode()]
        if stdin:
            pieces = (stdin[at : at + _LINE_BYTES] for at in range(0, len(stdin), _LINE_BYTES))
            parts += [base64.b64encode(each) + b"\n" for each in pieces]
            parts.append(f"{self._mark}\n".encode())
        self._input.put_nowait(b"".join(parts))

    async def _until(self, event: asyncio.Event) -> bool:
        """Wait for an event; return False if the session ends without it."""
        waiting = asyncio.create_task(event.wait())
        try:
            await asyncio.wait({waiting, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        return event.is_set()

    async def _serve(self, shell: Shell, opening: Sequence[str]) -> None:
        await shell.stream(opening, stdin=self._lines(), timeout=LASTS, on_line=self._take)

    async def _lines(self) -> AsyncIterator[bytes]:
        while (chunk := await self._input.get()) is not None:
            yield chunk

    async def _take(self, stream: Stream, line: bytes) -> None:
        is_marked = line.startswith(self._mark.encode())
        if not self._ready.is_set():
            if is_marked and stream is Stream.STDOUT:
                self._can_feed = line.split()[-1] == b"base64"
                self._ready.set()
        elif self._command is not None:
            await self._command.take(stream, line, line.split()[1:] if is_marked else None)


class _Command:
    """A command that runs through a session."""

    def __init__(self, on_line: OnRawLine) -> None:
        self._on_line = on_line
        self._open = set(Stream)
        self._has_gap = dict.fromkeys(Stream, False)
        """Whether an empty line came that may only be the one before a mark."""
        self.has_begun = False
        self.exit_code = 0
        self.ended = asyncio.Event()

    async def take(self, stream: Stream, line: bytes, mark: Sequence[bytes] | None) -> None:
        """Take a line of a stream; of a marked one, what follows the mark."""
        if mark == [b"begins"]:
            self.has_begun = True
        elif stream not in self._open or (stream is Stream.STDOUT and not self.has_begun):
            return
        elif mark is not None:
            self._open.discard(stream)
            if mark:
                self.exit_code = int(mark[0])
            if not self._open:
                self.ended.set()
        else:
            if self._has_gap[stream]:
                await self._on_line(stream, b"\n")
            self._has_gap[stream] = line == b"\n"
            if not self._has_gap[stream]:
                await self._on_line(stream, line)
