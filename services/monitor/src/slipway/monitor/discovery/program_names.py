"""Name a program by its executable and command line. Pure.

What an interpreter runs is named after the script, module, archive or class: the first word of its command
line that is neither an option nor the value of one, as the interpreter itself reads it. Where that is in
doubt, the interpreter gives the name. A title that a program gave itself (`gunicorn: master [app]`) counts by
its first word. Nothing else of a command line becomes a name: it may be secret.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

_MULTI_CALL = re.compile(r"(?:busybox|toybox|coreutils)(?:[._-][\w.-]+)?")
"""One executable that is many programs; which one, its command line says."""
_WORD = re.compile(r"[\w.@+-]+")
_NAME = re.compile(r"\.?\w[\w.@+$-]{0,62}")
_NEVER_A_NAME = re.compile(r"[=:]")
"""What a URL, a connection string or an assignment has in it."""
_SCRIPT = re.compile(r"[^=:]+\.(?:[cm]?[jt]sx?|pyc?|pyz|rb|pl|php|java|jar|war|dll|exe|sh|lua|tcl|exs?|R)")
_CLASS = re.compile(r"(?:\w+\.)+(?P<name>[A-Z][\w$]*)")


class _Interpreter(NamedTuple):
    """An interpreter, by a pattern, and its options. One that is not listed here may take a value."""

    executable: str
    code: str = ""
    """What follows is code, or arguments of what is read elsewhere: no word names a program."""
    program: str = ""
    """The next word is the program."""
    value: str = ""
    """The next word is something else."""
    joined: str = ""
    """Letters: the rest of the same word is a value, if there is one."""
    flag: str = ""
    """A pattern of those without a value."""
    command: str = ""
    """Words before the program that are no options."""
    is_grouped: bool = False
    """Whether letters share a dash (`-um` is `-u -m`); all that take a value are listed then."""


_INTERPRETERS = (
    _Interpreter(
        r"node(?:js)?[\d.]*",
        code="-e --eval -p --print -pe --run",
        value="-r --require --import --loader --experimental-loader --env-file --env-file-if-exists"
        " -C --conditions --input-type --watch-path --title --icu-data-dir --openssl-config"
        " --max-http-header-size --dns-result-order --inspect-port --disable-warning"
        " --experimental-default-type --diagnostic-dir --unhandled-rejections",
        flag="-i|--watch|--inspect|--inspect-brk|--enable-source-maps|--(?:no|trace)-(?:warnings|deprecation)"
        "|--expose-gc",
        command="inspect",
    ),
    _Interpreter(
        r"(?:python|pypy)[\d.]*",
        code="-c",
        program="-m",
        value="-W -X --check-hash-based-pycs",
        is_grouped=True,
    ),
    _Interpreter(
        "java",
        program="-jar -m --module",
        value="-cp -classpath --class-path -p --module-path --upgrade-module-path --add-modules"
        " --limit-modules --add-opens --add-exports --add-reads --patch-module"
        " --enable-native-access --source",
        flag="-[^-].*|--enable-preview",
    ),
    _Interpreter(
        r"j?ruby[\d.]*",
        code="-e",
        value="-I -r -C -E --encoding --external-encoding --internal-encoding --enable --disable",
        joined="WKTFixl",
        flag="--y?jit|--(?:en|dis)able-.*",
        is_grouped=True,
    ),
    _Interpreter(r"perl[\d.]*", code="-e -E", value="-I", joined="MmFixDdVC", is_grouped=True),
    _Interpreter(
        r"php[\d.]*",
        code="-- -r --run -R --process-code -B --process-begin -E --process-end",
        program="-f --file -F --process-file",
        value="-S --server -t --docroot -c --php-ini -d --define -z --zend-extension",
        is_grouped=True,
    ),
    _Interpreter(
        "deno",
        code="eval",
        value="-c --config --import-map --cert --location --seed --port --host -L --log-level --env-file",
        flag="-[Aqr]",
        command="run serve task",
    ),
    _Interpreter(
        "bun",
        code="-e --eval -p --print exec",
        value="-r --preload --require --import -c --config --cwd -d --define -l --loader --env-file --port"
        " --filter -F --tsconfig-override --conditions",
        flag="-b|--bun|--hot|--watch|--smol|--silent",
        command="run x",
    ),
    _Interpreter(
        "dotnet|mono(?:-sgen)?",
        code="-- run watch",
        value="--runtimeconfig --depsfile --additionalprobingpath --additional-deps --fx-version"
        " --roll-forward --config",
        command="exec",
    ),
    _Interpreter(
        "(?:ba|da|a|k|z)?sh",
        code="-c -s",
        value="-o -O --rcfile --init-file",
        flag="--(?:login|posix|norc|noprofile)",
        is_grouped=True,
    ),
    _Interpreter(r"lua(?:jit)?[\d.]*", code="-e", value="-l -j", is_grouped=True),
    _Interpreter(r"tclsh[\d.]*|Rscript", code="-e", value="-encoding"),
)


def program_name(comm: str, executable: str, arguments: Sequence[str]) -> str:
    """Return the name that people know a program by.

    Args:
        comm: The name of the process' first thread; it counts where nothing else is known.
        executable: The absolute path; empty if it can't be read.
        arguments: The command line, with the program's own name first.
    """
    words = list(arguments)
    if len(words) == 1 and words[0] != executable:
        words = words[0].split()  # a title, which is one string
    program = PurePosixPath(executable).name or _first(words) or comm
    if _MULTI_CALL.fullmatch(program):
        if _MULTI_CALL.fullmatch(_first(words) or ""):
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
    return _name(_program(interpreter, words[1:]) or "") or first


def _first(words: Sequence[str]) -> str | None:
    """Return the name by which a program was called, or which it has given itself since."""
    if not words:
        return None
    word = words[0]
    is_path = "/" in word and not _NEVER_A_NAME.search(word) and (" " not in word or word[0] == "/")
    match = _WORD.search(PurePosixPath(word).name if is_path else word.lstrip("-"))
    return match[0] if match else None


def _name(word: str) -> str | None:
    """Return what a script, module, archive or class is called; None if the word may be something else."""
    name = PurePosixPath(word).name
    if _NEVER_A_NAME.search(word) or not _NAME.fullmatch(name):
        return None
    java_class = None if _SCRIPT.fullmatch(name) else _CLASS.fullmatch(name)
    return java_class["name"] if java_class else name


def _program(interpreter: _Interpreter, words: Sequence[str]) -> str | None:
    """Return the word that says what runs; None if there is none or if it is in doubt."""
    rest = iter(words)
    is_doubtful = False
    for word in rest:
        if word in {"-", *interpreter.code.split()}:
            return None
        if word == "--":
            return next(rest, None)
        if not word.startswith(("-", "+")):
            if word in interpreter.command.split():
                continue
            return None if is_doubtful and not _SCRIPT.fullmatch(word) else word
        option, value = _option(interpreter, word)
        if option in interpreter.code.split():
            return None
        if option in interpreter.program.split():
            return value or next(rest, None)
        is_doubtful = False
        if option in interpreter.value.split() and not value:
            next(rest, None)
        elif option and not value:
            is_doubtful = not re.fullmatch(interpreter.flag, option)
    return None


def _option(interpreter: _Interpreter, word: str) -> tuple[str, str]:
    """Return an option that may have a value, and its value in the same word; empty if there is none."""
    if not interpreter.is_grouped or word.startswith("--"):
        option, _, value = word.partition("=")
        return option, value
    with_value = f"{interpreter.code} {interpreter.program} {interpreter.value}".split()
    for at, letter in enumerate(word[1:], 2):
        if letter in interpreter.joined:
            break
        if f"-{letter}" in with_value:
            return f"-{letter}", word[at:]
    return "", ""
