"""The only place where a command line comes into being.

Commands are argument lists until the last moment; `shlex.join` quotes each argument once, for the one shell
that SSH puts on the host. Scripts are constants in `guest/*.sh`, never assembled from values: values go in as
arguments or on standard input. Arguments show in process lists, so secrets go in on standard input only.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

LONGEST_COMMAND_BYTES = 120_000
"""Linux takes 128 KiB in one argument, and the whole line is one argument of the host's shell."""

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def command_line(argv: Sequence[str]) -> str:
    """Quote an argument list for a POSIX shell."""
    if not argv or any("\0" in argument for argument in argv):
        raise ValueError("a command needs a program, and arguments without NUL")
    line = shlex.join(argv)
    if len(line.encode()) > LONGEST_COMMAND_BYTES:
        raise ValueError("the command line is too long; pass the bulk on standard input")
    return line


def sh(script: str, *arguments: str) -> tuple[str, ...]:
    """Return the argument list that runs a script, with `$1`, `$2`, ..."""
    return ("sh", "-c", script, "slipway", *arguments)


def statements(calls: Sequence[Sequence[str]]) -> bytes:
    """Return a file of simple commands that a shell reads with `.`: none of it shows in a process list."""
    return "".join(f"{shlex.join(call)}\n" for call in calls).encode()


def exports(environment: Mapping[str, str]) -> bytes:
    """Return a file of exported variables that a shell reads with `.`."""
    if wrong := [name for name in environment if not _NAME.match(name)]:
        raise ValueError(f"not a name of a variable: {wrong[0]!r}")
    return statements([("export", f"{name}={value}") for name, value in environment.items()])


@cache
def guest_script(*names: str) -> str:
    """Return a script that runs inside a guest, made of the named parts in order."""
    folder = files("slipway.proxmox").joinpath("guest")
    return "\n".join(folder.joinpath(f"{name}.sh").read_text(encoding="utf-8") for name in names)
