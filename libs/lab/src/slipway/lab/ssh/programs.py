"""Programs of the node that a script calls: each call comes to the lab while the script runs.

Theory of operation. In the script's view each program is one small client (`_CLIENT`). It sends its name
and arguments over a socket in the view's `/run/lab`, then its input, and gets back output, errors and the
exit code.

Guarantees: a script sees what each call came to before it goes on. Non-guarantees: a call does not know the
script's variables or folder, so a path among its arguments means nothing; only `pct exec` gets the input.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from slipway.lab.guests.protocol import GuestError
from slipway.lab.ssh.streams import Streams

Program = Callable[[Sequence[str], Streams], Awaitable[int]]
SOCKET = "socket"
_CHUNK_BYTES = 64 * 1024
_MOST_BYTES = 1 << 20
_OUT, _ERR, _END = 1, 2, 3
_FAILED = 255
_CLIENT = r"""#!/usr/bin/perl
use strict;
use warnings;
use IO::Socket::UNIX;
my ($name) = $0 =~ m{([^/]+)\z};
my $lab = IO::Socket::UNIX->new(Peer => '/run/lab/socket') or die "the lab is gone: $!\n";
binmode $_ for $lab, *STDIN, *STDOUT, *STDERR;
sub write_all {
    my ($to, $data) = @_;
    while (length $data) { substr($data, 0, syswrite($to, $data) // exit 255) = '' }
}
write_all($lab, pack 'N/a*', join "\0", $name, @ARGV);
my ($heard, $reads) = ('', $name eq 'pct' && @ARGV && $ARGV[0] eq 'exec');
shutdown $lab, 1 unless $reads;
while (1) {
    my $ready = '';
    vec($ready, fileno($lab), 1) = 1;
    vec($ready, fileno(STDIN), 1) = 1 if $reads;
    select($ready, undef, undef, undef) > 0 or next;
    if ($reads && vec($ready, fileno(STDIN), 1)) {
        if (sysread STDIN, my $piece, 65536) { write_all($lab, $piece) } else { $reads = 0; shutdown $lab, 1 }
    }
    next unless vec($ready, fileno($lab), 1);
    sysread($lab, $heard, 65536, length $heard) or exit 255;
    while (length $heard >= 5) {
        my ($kind, $size) = unpack 'CN', $heard;
        last if length $heard < 5 + $size;
        my $data = substr $heard, 5, $size;
        substr($heard, 0, 5 + $size) = '';
        exit unpack 'N', $data if $kind == 3;
        write_all($kind == 1 ? *STDOUT : *STDERR, $data);
    }
}
"""


def write_clients(folder: Path, names: Sequence[str]) -> None:
    """Write the programs as a script finds them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = folder / name
        path.write_text(_CLIENT)
        path.chmod(0o755)


@contextlib.asynccontextmanager
async def answer_calls(socket: Path, programs: Mapping[str, Program]) -> AsyncIterator[None]:
    """Run the programs that are called over a socket; what still runs at the end is ended."""

    async def on_call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await _call(_Channel(reader, writer), programs)
        writer.close()

    async with asyncio.TaskGroup() as calls:

        def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            running.add(calls.create_task(on_call(reader, writer)))

        running = set[asyncio.Task[None]]()
        server = await asyncio.start_unix_server(on_connection, socket, limit=_MOST_BYTES)
        try:
            yield
        finally:
            server.close()
            for task in running:
                task.cancel()


async def _call(channel: "_Channel", programs: Mapping[str, Program]) -> None:
    name, *arguments = await channel.words()
    try:
        code = await programs[name](arguments, channel)
    except GuestError as error:
        await channel.err(f"{error}\n".encode())
        code = _FAILED
    await channel.end(code)


class _Channel:
    """The streams of one call."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def words(self) -> list[str]:
        (size,) = struct.unpack("!I", await self._reader.readexactly(4))
        if size > _MOST_BYTES:
            raise ConnectionAbortedError
        return (await self._reader.readexactly(size)).decode(errors="surrogateescape").split("\0")

    async def read(self) -> bytes:
        return await self._reader.read(_CHUNK_BYTES)

    async def out(self, chunk: bytes) -> None:
        await self._send(_OUT, chunk)

    async def err(self, chunk: bytes) -> None:
        await self._send(_ERR, chunk)

    async def end(self, code: int) -> None:
        await self._send(_END, struct.pack("!I", code))

    async def _send(self, kind: int, chunk: bytes) -> None:
        self._writer.write(struct.pack("!BI", kind, len(chunk)) + chunk)
        await self._writer.drain()
