"""Writing to the terminal: control sequences are removed, and a failed write is dropped, never raised."""

import contextlib
import io
import os
import re
import sys

_STEERS = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # a title, a link, the clipboard
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # colours, the cursor
    r"|\x1b[ -~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def clean(text: str) -> str:
    """Remove what would steer a terminal: names, notes and logs are written by others."""
    return _STEERS.sub("", text)


def put(text: str) -> None:
    """Write at once."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence()
    except OSError:
        # A full disk; what comes later may find room again.
        return


def say(line: str) -> None:
    """Write a line at once; the text may be somebody else's."""
    put(f"{clean(line)}\n")


def warn(line: str) -> None:
    """Write a line beside the output."""
    sys.stderr.write(f"{clean(line)}\n")
    sys.stderr.flush()


def forgive() -> None:
    """Replace characters that the terminal's encoding does not have, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def finish() -> None:
    """Write the rest, so that the interpreter finds nothing left that it would stumble over."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        silence()


def silence() -> None:
    """Send standard output nowhere, for good."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
