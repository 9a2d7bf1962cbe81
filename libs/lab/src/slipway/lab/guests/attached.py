"""A command inside a guest, run by a local program that enters the guest (`lxc-attach`, `nsenter`).

Both backends share this. A hang-up closes the pipes and kills nothing, because that is what happens to a
`pct exec` whose SSH session died: the command goes on until it notices that nobody reads.
"""

import asyncio
import contextlib
from asyncio import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence

CHUNK_BYTES = 65536
PCT_PATH = "/sbin:/bin:/usr/sbin:/usr/bin"
"""`pct exec` gives its command exactly this PATH."""


class Process:
    """A command running inside a guest, started by `Guests.execute`."""

    def __init__(self, transport: asyncio.SubprocessTransport, process: subprocess.Process) -> None:
        self._transport = transport
        self._process = process

    def stdout(self) -> AsyncIterator[bytes]:
        """Yield standard output as it comes, until it ends."""
        return _chunks(self._process.stdout)

    def stderr(self) -> AsyncIterator[bytes]:
        """Yield standard error as it comes, until it ends."""
        return _chunks(self._process.stderr)

    async def write(self, chunk: bytes) -> None:
        """Feed standard input; what a command that reads no more is sent is lost."""
        if self._process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.write(chunk)
            await self._process.stdin.drain()

    async def close_stdin(self) -> None:
        """Tell the command that its input has ended."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def wait(self) -> int:
        """Return the exit code: 128+n when killed by signal n, 127 when there is no such command."""
        code = await self._process.wait()
        return 128 - code if code < 0 else code

    def terminate(self) -> None:
        """Close all three pipes, as the end of an SSH session does."""
        for descriptor in (0, 1, 2):
            pipe = self._transport.get_pipe_transport(descriptor)
            if pipe is not None:
                pipe.close()


async def attach(argv: Sequence[str], *, environment: Mapping[str, str]) -> Process:
    """Start the entering program in a session of its own, with piped standard streams."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        lambda: subprocess.SubprocessStreamProtocol(limit=CHUNK_BYTES, loop=loop),
        *argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        cwd="/",
        start_new_session=True,
    )
    return Process(transport, subprocess.Process(transport, protocol, loop))


async def _chunks(reader: asyncio.StreamReader | None) -> AsyncIterator[bytes]:
    while reader is not None and (chunk := await reader.read(CHUNK_BYTES)):
        yield chunk
