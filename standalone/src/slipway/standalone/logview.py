"""One log of many processes: each line with its process's name in front, and a file for each process.

Writing a line never fails: a process whose output is not read any more would hang.
"""

import io
import re
import sys
from collections import defaultdict, deque
from pathlib import Path

from rich.console import Console
from rich.text import Text

from slipway.cli.terminal import put
from slipway.standalone.logfile import MOST_BYTES, LogFile

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")
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
        # Not on standard output itself: the console keeps what it can't write, and exits on a closed pipe.
        self._drawn = io.StringIO()
        self._console = Console(
            file=self._drawn, force_terminal=sys.stdout.isatty(), highlight=False, soft_wrap=True
        )
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
        colour = COLOURS[sum(name.encode()) % len(COLOURS)]
        prefix = Text(f"{name:<{_WIDTH}} | ", style=colour)
        self._console.print(prefix + Text(_CONTROL.sub("?", line)))
        put(self._drawn.getvalue())
        self._drawn.seek(0)
        self._drawn.truncate()

    def _file(self, name: str) -> LogFile:
        if name not in self._files:
            self._files[name] = LogFile(
                self._folder / f"{name}.log",
                on_failure=lambda why: self._show(_OURSELVES, why),
                most_bytes=self._most_bytes,
            )
        return self._files[name]
