"""One log of many processes: each line with its process's name in front, and a file for each process.

Writing a line never fails: a process whose output is not read any more would hang.
"""

import os
import re
import sys
from collections import defaultdict, deque
from pathlib import Path

from slipway.cli.terminal import put
from slipway.standalone.logfile import MOST_BYTES, LogFile

COLOURS = (36, 32, 35, 33, 34, 96, 92, 95)
"""Of the names in front, in the terminal's numbers."""
_WIDTH = 11
_TAIL_LINES = 15
_OURSELVES = "slipway"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class LogView:
    """Writes the lines of all processes: to the terminal, and each to its file."""

    def __init__(self, folder: Path, *, is_quiet: bool = False, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._is_quiet = is_quiet
        self._most_bytes = most_bytes
        self._is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._files: dict[str, LogFile] = {}
        self._tails: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_TAIL_LINES))

    def write(self, name: str, line: str, *, is_shown: bool = True) -> None:
        """Write one line of one process; one that is not shown is in its file all the same."""
        self._tails[name].append(line)
        self._file(name).write(line)
        if is_shown and (not self._is_quiet or name == _OURSELVES):
            self._show(name, line)

    def report(self, line: str) -> None:
        """Write a line of our own, also in a quiet view."""
        self.write(_OURSELVES, line)

    def tail(self, name: str) -> str:
        """Return the last lines of a process."""
        return "\n".join(self._tails[name])

    def _show(self, name: str, line: str) -> None:
        prefix = f"{name:<{_WIDTH}} | "
        if self._is_coloured:
            prefix = f"\x1b[{COLOURS[sum(name.encode()) % len(COLOURS)]}m{prefix}\x1b[0m"
        put(f"{prefix}{_CONTROL.sub('?', line)}\n")

    def _file(self, name: str) -> LogFile:
        if name not in self._files:
            self._files[name] = LogFile(
                self._folder / f"{name}.log",
                on_failure=lambda why: self._show(_OURSELVES, why),
                most_bytes=self._most_bytes,
            )
        return self._files[name]
