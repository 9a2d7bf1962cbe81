"""Cut a stream of bytes into lines, however long, and read them as text, whatever they hold."""

LONGEST_LINE_BYTES = 16 * 1024 * 1024
"""Beyond this a line is cut in two, so that memory stays bounded."""


class LineCutter:
    """Takes chunks as they come, gives whole lines with their newline."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes."""
        head, newline, tail = chunk.rpartition(b"\n")
        if not newline:
            self._keep(chunk)
            return [self.rest()] if self._size > LONGEST_LINE_BYTES else []
        whole = self.rest() + head + newline
        self._keep(tail)
        return whole.splitlines(keepends=True) if b"\r" not in whole else _cut(whole)

    def rest(self) -> bytes:
        """What came after the last newline; to be asked once more at the end."""
        rest = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return rest

    def _keep(self, chunk: bytes) -> None:
        if chunk:
            self._parts.append(chunk)
            self._size += len(chunk)


def text_of(line: bytes) -> str:
    """The line as text, without its newline; bytes that are no UTF-8 become U+FFFD, and so does NUL."""
    return line.removesuffix(b"\n").decode("utf-8", errors="replace").replace("\0", "\ufffd")


def _cut(whole: bytes) -> list[bytes]:
    # bytes.splitlines() would also cut at a carriage return.
    return [line + b"\n" for line in whole.split(b"\n")[:-1]]
