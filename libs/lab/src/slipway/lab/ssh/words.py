"""Command lines: split as a POSIX shell would split them.

Pure. Known: quotes, backslashes, `;`, `&&`, `||`, newlines and the redirections `2>&1`, `>&2`, `>/dev/null`,
`2>/dev/null`, `</dev/null`. Anything else that a shell would act upon, such as `$` or `|`, is refused rather
than taken literally: a command that relies on it must fail here, not differ. A list of words cannot tell a
quoted `;` from a real one, which is why `shlex` doesn't do.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Joiner = Literal[";", "&&", "||"]
_SEPARATORS = "; \t\n&|"
_EXPANDED = "$`*?[]{}()~!"


class BadLine(Exception):
    """A line that this shell cannot run, with what bash would say."""


@dataclass(slots=True, kw_only=True)
class Command:
    """One simple command and what joins it to the one before."""

    joiner: Joiner
    words: list[str] = field(default_factory=list)
    is_stdin_null: bool = False
    stdout: Literal["ssh", "null", "stderr"] = "ssh"
    stderr: Literal["ssh", "null", "stdout"] = "ssh"


def parse(line: str) -> list[Command]:
    """Split a line into commands."""
    commands = [Command(joiner=";")]
    for kind, text in _tokens(line):
        command = commands[-1]
        match kind:
            case "word":
                command.words.append(text)
            case "redirection":
                _redirect(command, text)
            case _ if text in ("&&", "||") and not command.words:
                raise BadLine(f"syntax error near unexpected token `{text}'")
            case _:
                commands.append(Command(joiner="&&" if text == "&&" else "||" if text == "||" else ";"))
    return [command for command in commands if command.words]


def _redirect(command: Command, text: str) -> None:
    match text:
        case "2>&1":
            command.stderr = "stdout"
        case "2>/dev/null":
            command.stderr = "null"
        case ">/dev/null":
            command.stdout = "null"
        case ">&2":
            command.stdout = "stderr"
        case "</dev/null":
            command.is_stdin_null = True
        case _:
            raise BadLine(f"the lab's shell does not know the redirection {text}")


def _tokens(line: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(line):
        char = line[at]
        if char in " \t":
            at += 1
        elif char == "#":
            at = (line + "\n").find("\n", at)
        elif char in ";\n":
            yield "operator", ";"
            at += 1
        elif line[at : at + 2] in ("&&", "||"):
            yield "operator", line[at : at + 2]
            at += 2
        elif char in "&|":
            raise BadLine(f"the lab's shell does not know `{char}'")
        elif char in "<>" or line[at : at + 2] in ("2>", "1>"):
            text, at = _redirection(line, at)
            yield "redirection", text
        else:
            text, at = _word(line, at)
            yield "word", text


def _redirection(line: str, at: int) -> tuple[str, int]:
    end = at + 1 + (line[at] in "12")
    if line[end : end + 2] in ("&1", "&2"):
        return line[at : end + 2].removeprefix("1"), end + 2
    while end < len(line) and line[end] in " \t":
        end += 1
    start = end
    while end < len(line) and line[end] not in _SEPARATORS:
        end += 1
    operator = line[at:start].strip()
    return f"{operator.removeprefix('1')}{line[start:end]}", end


def _word(line: str, at: int) -> tuple[str, int]:
    text: list[str] = []
    while at < len(line) and line[at] not in _SEPARATORS + "<>":
        char = line[at]
        if char == "'":
            end = line.find("'", at + 1)
            if end < 0:
                raise BadLine("unexpected EOF while looking for matching `''")
            text.append(line[at + 1 : end])
            at = end + 1
        elif char == '"':
            quoted, at = _double_quoted(line, at + 1)
            text.append(quoted)
        elif char == "\\":
            text.append(line[at + 1 : at + 2].replace("\n", ""))
            at += 2
        elif char in _EXPANDED:
            raise BadLine(f"the lab's shell does not expand `{char}'")
        else:
            text.append(char)
            at += 1
    return "".join(text), at


def _double_quoted(line: str, at: int) -> tuple[str, int]:
    text: list[str] = []
    while at < len(line):
        char = line[at]
        if char == '"':
            return "".join(text), at + 1
        if char == "\\" and line[at + 1 : at + 2] in ('"', "\\", "$", "`"):
            text.append(line[at + 1])
            at += 2
        elif char in "$`":
            raise BadLine(f"the lab's shell does not expand `{char}'")
        else:
            text.append(char)
            at += 1
    raise BadLine("unexpected EOF while looking for matching `\"'")
