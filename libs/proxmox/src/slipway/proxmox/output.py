"""The output of detached work, as its follower in the guest sends it (`guest/follow.sh`), cut into lines."""

import asyncio
from dataclasses import dataclass

from slipway.proxmox.errors import CommandLost
from slipway.proxmox.lines import LONGEST_LINE_BYTES, WrittenLine
from slipway.proxmox.ssh import Stream

SILENCE_SECONDS = 60.0
"""A follower reports every five seconds; longer silence means that it is gone."""
MOST_UNFINISHED_BYTES = 128 * 1024
"""Of a line without an end, how much of its end is yielded meanwhile: so much that no secret in what is then
shown of it has lost its beginning, by which it is known."""

_BEAT = "beat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A line of output."""

    text: str
    end_offset: int
    """Where to follow on after this line; of an unfinished one, after the line before."""
    is_unfinished: bool = False
    """It has no end yet: the next line takes its place."""


class OutputReader:
    """Reads what a follower prints."""

    def __init__(self, offset: int) -> None:
        """Begin at a byte of the output, where a line begins."""
        self._offset = offset
        self._queue: asyncio.Queue[Output | str | None] = asyncio.Queue(maxsize=256)
        self._part = bytearray()
        """Of a part of the output, what has come."""
        self._part_left = 0
        self._line = WrittenLine()
        """A line without an end."""
        self._line_bytes = 0
        self._is_marked = False
        """Whether an older build began the work: each line begins with a mark."""
        self.ending = ""
        """The follower's last word: how the work stands."""

    async def take(self, stream: Stream, line: bytes) -> None:
        """Read one line of the follower."""
        if stream is Stream.STDERR:
            return
        if self._part_left:
            # Read once it is whole: what is cut off is no output.
            self._part += line[: self._part_left]
            self._part_left -= min(len(line), self._part_left)
            if not self._part_left:
                await self._read(bytes(self._part))
                self._part.clear()
        elif line.endswith(b"\n"):
            word, _, size = line.decode(errors="replace").strip().partition(" ")
            if word == "data":
                self._part_left = int(size)
            elif word == "marked":
                self._is_marked = True
            elif word == _BEAT:
                await self._queue.put(_BEAT)
            elif word:
                self.ending = f"{word} {size}"

    async def finish(self) -> None:
        """Note that the follower has ended."""
        await self._queue.put(None)

    async def next(self) -> Output | None:
        """Return the next line of output; None after the last.

        Raises:
            CommandLost: nothing was heard for too long.
        """
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    item = await self._queue.get()
            except TimeoutError as error:
                raise CommandLost("The guest fell silent while its output was followed.") from error
            if not isinstance(item, str):
                return item

    def rest(self) -> Output | None:
        """Return the last line, if it has no end; to be called once the work has ended."""
        return self._output(b"") if self._line_bytes else None

    async def _read(self, part: bytes) -> None:
        # bytes.splitlines() would also cut at a carriage return.
        *ends, begin = part.split(b"\n")
        for end in ends:
            self._write(end)
            await self._queue.put(self._output(b"\n"))
        self._write(begin)
        if self._is_marked:
            return
        if len(self._line) > LONGEST_LINE_BYTES:
            await self._queue.put(self._output(b""))
        if text := self._line.text(last_bytes=MOST_UNFINISHED_BYTES):
            await self._queue.put(Output(text=text, end_offset=self._offset, is_unfinished=True))

    def _write(self, part: bytes) -> None:
        is_mark = self._is_marked and not self._line_bytes
        self._line.write(part[is_mark:])
        self._line_bytes += len(part)

    def _output(self, end: bytes) -> Output:
        """Return the line that ends so."""
        text = self._line.text()
        self._offset += self._line_bytes + len(end)
        self._line.clear()
        self._line_bytes = 0
        return Output(text=text, end_offset=self._offset)
