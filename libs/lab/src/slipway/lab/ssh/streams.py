"""A command's three streams, over SSH: bytes both ways, with back pressure, and cut when a fault says so."""

from dataclasses import dataclass
from typing import Protocol

from slipway.lab.ssh.words import Command


class Streams(Protocol):
    """Standard input, output and error of a command on the pretend host."""

    async def read(self) -> bytes:
        """Return the next piece of standard input; empty at its end."""
        ...

    async def out(self, chunk: bytes) -> None:
        """Write to standard output."""
        ...

    async def err(self, chunk: bytes) -> None:
        """Write to standard error."""
        ...


@dataclass(frozen=True, slots=True)
class Redirected:
    """Streams of a command with some of them sent elsewhere."""

    streams: Streams
    command: Command

    async def read(self) -> bytes:
        """Return standard input, or nothing."""
        return b"" if self.command.is_stdin_null else await self.streams.read()

    async def out(self, chunk: bytes) -> None:
        """Write to standard output, or nowhere."""
        if self.command.stdout == "stderr":
            await self.streams.err(chunk)
        elif self.command.stdout == "ssh":
            await self.streams.out(chunk)

    async def err(self, chunk: bytes) -> None:
        """Write to standard error, to standard output, or nowhere."""
        if self.command.stderr == "stdout":
            await self.out(chunk)
        elif self.command.stderr == "ssh":
            await self.streams.err(chunk)
