"""Name a program by its executable and command line. Pure.

What an interpreter runs is named after the script, module, archive or class. A title that a program gave
itself (`gunicorn: master [app]`) counts by its first word. Nothing else of a command line becomes a name: it
may be secret.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

_MULTI_CALL = frozenset({"busybox", "toybox", "coreutils"})
"""One executable that is many programs; which one, its command line says."""
_WORD = re.compile(r"[\w.@+-]+")
_FILE = re.compile(r".*/[^/]+|.+\.(?:[cm]?[jt]sx?|pyc?|pyz|rb|pl|php|java|jar|war|dll|exe|sh|lua|tcl|exs?|R)")
_CLASS = re.compile(r"(?:\w+\.)+(?P<name>[A-Z][\w$]*)")


class _Interpreter(NamedTuple):
    """An interpreter, by a pattern, and the options that say what the next word is."""

    executable: str
    code: str = ""
    """Code: there is no file."""
    program: str = ""
    """The program, whatever it looks like."""
    value: str = ""
    """Something else."""


_INTERPRETERS = (
    _Interpreter(
        r"node(?:js)?[\d.]*",
        code="-e --eval -p --print -pe",
        value="-r --require --import --loader --experimental-loader --env-file",
    ),
    _Interpreter(r"(?:python|pypy)[\d.]*", code="-c", program="-m", value="-W -X"),
    _Interpreter(
        "java",
        program="-jar -m --module",
        value="-cp -classpath --class-path -p --module-path --add-modules --add-opens --add-exports",
    ),
    _Interpreter(r"j?ruby[\d.]*", code="-e", value="-I -r -C"),
    _Interpreter(r"perl[\d.]*", code="-e -E", value="-I"),
    _Interpreter(r"php[\d.]*", code="-r", program="-f", value="-S -t -c -d"),
    _Interpreter("deno", code="eval", value="-c --config --import-map --cert"),
    _Interpreter("bun", code="-e --eval", value="-r --preload --cwd --config"),
    _Interpreter("dotnet|mono(?:-sgen)?", value="--runtimeconfig --depsfile"),
    _Interpreter("(?:ba|da|a|k|z)?sh", code="-c", value="-o"),
    _Interpreter(r"lua(?:jit)?[\d.]*|tclsh[\d.]*|Rscript", code="-e", value="-l"),
)


def program_name(comm: str, executable: str, arguments: Sequence[str]) -> str:
    """Return the name that people know a program by.

    Args:
        comm: The name of the process' first thread; it counts where nothing else is known.
        executable: The absolute path; empty if it can't be read.
        arguments: The command line, with the program's own name first.
    """
    words = list(arguments)
    if len(words) == 1 and not words[0].startswith("/"):
        words = words[0].split()  # a title, which is one string
    program = PurePosixPath(executable).name or _first(words) or comm
    if program in _MULTI_CALL:
        if _first(words) in _MULTI_CALL:
            del words[0]
        program = _first(words) or comm
    interpreter = _interpreter(program)
    return program if interpreter is None else _interpreted(interpreter, words) or program


def _interpreter(program: str) -> _Interpreter | None:
    return next((each for each in _INTERPRETERS if re.fullmatch(each.executable, program)), None)


def _interpreted(interpreter: _Interpreter, words: Sequence[str]) -> str | None:
    first = _first(words)
    if first is None or _interpreter(first) is None:
        return first
    program = _program(interpreter, words[1:])
    if program is None:
        return first
    java_class = _CLASS.fullmatch(program)
    return java_class["name"] if java_class else PurePosixPath(program).name


def _first(words: Sequence[str]) -> str | None:
    """Return the name by which a program was called, or which it has given itself since."""
    if not words:
        return None
    is_path = "/" in words[0] and (" " not in words[0] or (words[0][0] == "/" and ": " not in words[0]))
    match = _WORD.search(PurePosixPath(words[0]).name if is_path else words[0].lstrip("-"))
    return match[0] if match else None


def _program(interpreter: _Interpreter, words: Sequence[str]) -> str | None:
    rest = iter(words)
    for word in rest:
        if word in interpreter.code.split():
            return None
        if word in interpreter.program.split():
            return next(rest, None)
        if word in interpreter.value.split():
            next(rest, None)
        elif not word.startswith("-") and (_FILE.fullmatch(word) or _CLASS.fullmatch(word)):
            return word
    return None
