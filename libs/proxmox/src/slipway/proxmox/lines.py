"""Cut a stream of bytes into lines, however long, and read them as text, whatever they hold.

A line of progress (curl, apt, docker pull) is written anew after a carriage return: what came before it is no
longer seen, and no part of the text.
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


_TO_ITS_START = re.compile(r"\r|\x1b\[[01]?G")


def text_of(line: bytes) -> str:
    """Return a line as text, without its newline; bytes that are no UTF-8 become U+FFFD, and so does NUL."""
    return last_state(line.removesuffix(b"\n").decode("utf-8", errors="replace").replace("\0", "\ufffd"))


def last_state(text: str) -> str:
    """Return what a terminal shows at last of a line that was written anew, from its start or backwards."""
    state = next((part for part in reversed(_TO_ITS_START.split(text)) if part), "")
    if "\b" not in state:
        return state
    seen: list[str] = []
    for character in state.rstrip("\b"):
        if character != "\b":
            seen.append(character)
        elif seen:
            seen.pop()
    return "".join(seen)
