"""Cut a stream of bytes into lines, however long, and read them as text, whatever they hold.

A line of progress (curl, apt, npm) is written anew after a carriage return or a sequence that moves the
cursor back: what was written over is no longer seen, and no part of the text.
"""

import re

LONGEST_LINE_BYTES = 16 * 1024 * 1024
"""Beyond this a line is cut in two, so that memory stays bounded."""


class LineCutter:
    """Cuts chunks, as they come, into whole lines with their newline."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that this chunk completes."""
        head, newline, tail = chunk.rpartition(b"\n")
        if not newline:
            self._store(chunk)
            return [self.rest()] if self._size > LONGEST_LINE_BYTES else []
        whole = self.rest() + head
        self._store(tail)
        # bytes.splitlines() would also cut at a carriage return.
        return [line + b"\n" for line in whole.split(b"\n")]

    def rest(self) -> bytes:
        """Return what came after the last newline; to be called once more at the end."""
        rest = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return rest

    def _store(self, chunk: bytes) -> None:
        self._parts.append(chunk)
        self._size += len(chunk)


class WrittenLine:
    """What a terminal shows of one line while it is written; only what is seen is stored."""

    _MOVE = re.compile(rb"(\r|\x08+|\x1b\[(?:[01]?G|\d{0,4}D))")
    _CUT_MOVE = re.compile(rb"\x1b(\[\d{0,4})?\Z")
    _CONTINUES = range(0x80, 0xC0)

    def __init__(self) -> None:
        self._seen = bytearray()
        self._back = 0
        """So many characters left of its end stands the cursor; what is written next drops them."""
        self._cut = b""
        """The beginning of an escape sequence whose end has not come yet."""

    def __len__(self) -> int:
        """Return how many bytes are seen."""
        return len(self._seen) + len(self._cut)

    def write(self, part: bytes) -> None:
        """Write on; a part may end anywhere, and holds no newline."""
        part = self._cut + part
        if cut := self._CUT_MOVE.search(part, max(0, len(part) - 6)):
            part = part[: cut.start()]
        self._cut = cut[0] if cut else b""
        for index, piece in enumerate(self._MOVE.split(part)):
            if index % 2:
                self._move(piece)
            elif piece:
                self._drop()
                self._seen += piece

    def text(self, *, last_bytes: int | None = None) -> str:
        """Return what is seen, or its end; what is no UTF-8 becomes U+FFFD, and so does NUL."""
        seen = bytes(self._seen) if last_bytes is None else bytes(self._seen[-last_bytes:])
        return (seen + self._cut).decode("utf-8", errors="replace").replace("\0", "\ufffd")

    def clear(self) -> None:
        """Begin the next line."""
        self._seen.clear()
        self._back, self._cut = 0, b""

    def _move(self, control: bytes) -> None:
        if control.startswith(b"\x08"):
            back = self._back + len(control)
        elif control.endswith(b"D"):
            back = self._back + max(1, int(control[2:-1] or b"1"))
        else:
            back = len(self._seen)
        self._back = min(back, len(self._seen))

    def _drop(self) -> None:
        end = 0 if self._back >= len(self._seen) else len(self._seen)
        for _ in range(self._back if end else 0):
            end = max(0, end - 1)
            # A character of UTF-8 is one byte, and those after it that continue it.
            while end and self._seen[end] in self._CONTINUES:
                end -= 1
        del self._seen[end:]
        self._back = 0


def text_of(line: bytes) -> str:
    """Return what a terminal shows of a line, without its newline."""
    written = WrittenLine()
    written.write(line.removesuffix(b"\n"))
    return written.text()


def last_state(text: str) -> str:
    """Return what a terminal shows of a text that is one line."""
    return text_of(text.encode("utf-8", errors="replace"))
