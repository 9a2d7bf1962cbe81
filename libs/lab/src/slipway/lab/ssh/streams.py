"""A command's three streams, over SSH: bytes both ways, with back pressure, and cut when a fault says so."""

from typing import Protocol


class Streams(Protocol):
    """Standard input, output and error of a command on the pretend host."""

    async def read(self) -> bytes:
        """Give the next piece of standard input; empty at its end."""
        ...

    async def out(self, chunk: bytes) -> None:
        """Write to standard output."""
        ...

    async def err(self, chunk: bytes) -> None:
        """Write to standard error."""
        ...


class Redirected:
    """Streams with some of them sent elsewhere."""

    def __init__(self, streams: Streams, *, no_stdin: bool, no_stdout: bool, stderr: str) -> None:
        self._streams = streams
        self._no_stdin = no_stdin
        self._no_stdout = no_stdout
        self._stderr = stderr

    async def read(self) -> bytes:
        """Give standard input, or nothing."""
        return b"" if self._no_stdin else await self._streams.read()

    async def out(self, chunk: bytes) -> None:
        """Write to standard output, or nowhere."""
        if not self._no_stdout:
            await self._streams.out(chunk)

    async def err(self, chunk: bytes) -> None:
        """Write to standard error, to standard output, or nowhere."""
        if self._stderr == "stdout":
            await self.out(chunk)
        elif self._stderr == "stored":
            await self._streams.err(chunk)
