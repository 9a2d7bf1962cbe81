"""Cut a stream of bytes into lines, however long, and read them as text, whatever they hold."""

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


def text_of(line: bytes) -> str:
    """Return a line as text, without its newline; bytes that are no UTF-8 become U+FFFD, and so does NUL."""
    return line.removesuffix(b"\n").decode("utf-8", errors="replace").replace("\0", "\ufffd")
