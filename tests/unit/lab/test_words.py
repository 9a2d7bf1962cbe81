"""Command lines of the lab's shell: what is split, joined and refused."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.lab.ssh.words import BadLine, parse

WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.lists(WORD, min_size=1))
def test_quoted_words_come_back_as_they_were(arguments: list[str]) -> None:
    """Whatever a client quotes, operators included, arrives unchanged as one command."""
    (command,) = parse(shlex.join(arguments))

    assert command.words == arguments


@pytest.mark.parametrize(
    ("line", "joined"),
    [
        ("pct unlock 100; pct destroy 100", [(";", "pct unlock 100"), (";", "pct destroy 100")]),
        ("a && b || c", [(";", "a"), ("&&", "b"), ("||", "c")]),
        ("a\nb # not c", [(";", "a"), (";", "b")]),
        ("a;b", [(";", "a"), (";", "b")]),
        ('echo "a \\"b\\" c" d\\ e', [(";", 'echo a "b" c d e')]),
        ("", []),
    ],
)  # fmt: skip
def test_operators_join_commands(line: str, joined: list[tuple[str, str]]) -> None:
    """Semicolons, newlines, `&&` and `||` stand between commands."""
    assert [(command.joiner, " ".join(command.words)) for command in parse(line)] == joined


@pytest.mark.parametrize(
    ("line", "stdin", "stdout", "stderr"),
    [
        ("a >/dev/null 2>&1 </dev/null", True, "null", "stdout"),
        ("a 2> /dev/null", False, "ssh", "null"),
        ("a >&2", False, "stderr", "ssh"),
        ("a2", False, "ssh", "ssh"),
    ],
)
def test_redirections_are_distinguished_from_words(
    line: str,
    stdin: bool,  # noqa: FBT001
    stdout: str,
    stderr: str,
) -> None:
    """Streams go nowhere or together where the line says so."""
    (command,) = parse(line)

    assert (command.is_stdin_null, command.stdout, command.stderr) == (stdin, stdout, stderr)


@pytest.mark.parametrize(
    "line",
    ["a | b", "a &", "echo $HOME", 'echo "$HOME"', "echo `id`", "a > f", "echo 'open", 'echo "open', "ls *"],
)
def test_what_a_shell_would_act_upon_is_refused(line: str) -> None:
    """A line that needs more of a shell than there is fails; it is never taken literally."""
    with pytest.raises(BadLine):
        parse(line)
