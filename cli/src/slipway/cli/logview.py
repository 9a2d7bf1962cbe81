"""One log of many processes: each line with its process's name in front, and a file for each process."""

import re
import sys
from collections import defaultdict, deque
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.text import Text

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")
_KEPT_BYTES = 20_000_000
_WIDTH = 11
_TAIL_LINES = 15
_OURSELVES = "slipway"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class LogView:
    """Where every line that a process writes goes to."""

    def __init__(self, folder: Path, *, is_quiet: bool = False) -> None:
        self._folder = folder
        self._is_quiet = is_quiet
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._files: dict[str, IO[str]] = {}
        self._tails: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_TAIL_LINES))

    def write(self, name: str, line: str, *, is_shown: bool = True) -> None:
        """Take one line of one process; one that is not shown is in its file all the same."""
        file = self._file(name)
        file.write(f"{line}\n")
        file.flush()
        self._tails[name].append(line)
        if is_shown and (not self._is_quiet or name == _OURSELVES):
            self._show(name, line)

    def tell(self, line: str) -> None:
        """Say something of our own; also in a quiet view."""
        self.write(_OURSELVES, line)

    def tail(self, name: str) -> str:
        """Give the last lines of a process."""
        return "\n".join(self._tails[name])

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _show(self, name: str, line: str) -> None:
        colour = COLOURS[sum(name.encode()) % len(COLOURS)]
        prefix = Text(f"{name:<{_WIDTH}} | ", style=colour)
        self._console.print(prefix + Text(_CONTROL.sub("?", line)))

    def _file(self, name: str) -> IO[str]:
        if name not in self._files:
            path = self._folder / f"{name}.log"
            if path.exists() and path.stat().st_size > _KEPT_BYTES:
                path.replace(path.with_suffix(".log.1"))
            self._files[name] = path.open("a", encoding="utf-8", errors="replace")
        return self._files[name]


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)
