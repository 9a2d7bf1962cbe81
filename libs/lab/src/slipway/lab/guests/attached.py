"""A command inside a guest, run by a local program that enters the guest (`lxc-attach`, `nsenter`).

Both backends share this. A hang-up closes the pipes and kills nothing, because that is what happens to a
`pct exec` whose SSH session died: the command goes on until it notices that nobody reads.
"""

import asyncio
import contextlib
import json
from asyncio import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from slipway.lab.guests.protocol import GuestError, Interface, Process

CHUNK_BYTES = 65536
ASK_SECONDS = 10.0
PCT_PATH = "/sbin:/bin:/usr/sbin:/usr/bin"
"""`pct exec` gives its command exactly this PATH."""


class AttachedProcess:
    """Implements `protocol.Process` over a child process of the lab."""

    def __init__(self, transport: asyncio.SubprocessTransport, process: subprocess.Process) -> None:
        self._transport = transport
        self._process = process

    async def stdout(self) -> AsyncIterator[bytes]:
        """Chunks of standard output as they come."""
        async for chunk in _chunks(self._process.stdout):
            yield chunk

    async def stderr(self) -> AsyncIterator[bytes]:
        """Chunks of standard error as they come."""
        async for chunk in _chunks(self._process.stderr):
            yield chunk

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
        """Exit code as a shell would report it."""
        code = await self._process.wait()
        return 128 - code if code < 0 else code

    def terminate(self) -> None:
        """Close all three pipes, as the end of an SSH session does."""
        for descriptor in (0, 1, 2):
            pipe = self._transport.get_pipe_transport(descriptor)
            if pipe is not None:
                pipe.close()


async def attach(argv: Sequence[str], *, environment: Mapping[str, str]) -> AttachedProcess:
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
    return AttachedProcess(transport, subprocess.Process(transport, protocol, loop))


async def interfaces(process: Process) -> list[Interface]:
    """Read to the end what a running `ip -j addr` prints."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            output = b"".join([chunk async for chunk in process.stdout()])
            await process.wait()
        return [interface(entry) for entry in json.loads(output)]
    except (TimeoutError, ValueError) as error:
        raise GuestError("the guest did not tell its addresses") from error


def interface(entry: Mapping[str, Any]) -> Interface:
    """Read one entry of what `ip -j addr` printed."""
    addresses = {
        found["family"]: f"{found['local']}/{found['prefixlen']}"
        for found in reversed(entry.get("addr_info", ()))
    }
    return Interface(
        name=entry["ifname"],
        hwaddr=entry.get("address", ""),
        inet=addresses.get("inet"),
        inet6=addresses.get("inet6"),
    )


async def _chunks(reader: asyncio.StreamReader | None) -> AsyncIterator[bytes]:
    while reader is not None and (chunk := await reader.read(CHUNK_BYTES)):
        yield chunk
