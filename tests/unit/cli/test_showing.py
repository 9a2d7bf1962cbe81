"""Tables and sentences: whole for a program, harmless for a terminal."""

import io

import pytest
from rich.console import Console

from slipway.cli.output import clean
from slipway.cli.showing import show_rows, tell

NAMES = ("id", "notes")
ID = "01980f7c-6a53-7cc1-b4a3-3f0f6e1c2d3e"


def shown(rows: list[list[object]], *, is_terminal: bool, width: int = 60) -> str:
    """Show a table, and give what was written."""
    file = io.StringIO()
    show_rows(Console(file=file, force_terminal=is_terminal, width=width, color_system=None), NAMES, rows)
    return file.getvalue()


def test_for_a_program() -> None:
    """Anywhere but in a terminal a row is a line with tabs, however long it is."""
    rows: list[list[object]] = [[ID, "n" * 200], [None, "two\nlines"]]

    assert shown(rows, is_terminal=False) == f"id\tnotes\n{ID}\t{'n' * 200}\n\ttwo lines\n"


def test_in_a_narrow_terminal() -> None:
    """An id stays whole, and what does not fit beside it goes on in the next line."""
    said = shown([[ID, "n" * 40]], is_terminal=True)

    assert ID in said
    assert said.count("n") == 40 + len("notes") - 4


@pytest.mark.parametrize("is_terminal", [True, False])
def test_notes_are_words(is_terminal: bool) -> None:  # noqa: FBT001  a parameter of the test
    """What looks like markup is shown as it is; what would steer a terminal is taken out."""
    said = shown([[1, "see [/etc/x] \x1b]0;title\x07\x1b[2J\x9b1mhere"]], is_terminal=is_terminal)

    assert "see [/etc/x] 1mhere" in said
    assert "\x1b" not in said


def test_sentence() -> None:
    """A sentence is one line, and no markup."""
    file = io.StringIO()

    tell(Console(file=file, width=20), "LOST: [bold]" + "x" * 40)

    assert file.getvalue() == "LOST: [bold]" + "x" * 40 + "\n"


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "\x1b]8;;http://x\x1b\\red", "\x1b]52;c;AAAA\x07red", "r\x07e\x00d", "\x1bcred"]
)
def test_clean(text: str) -> None:
    """Colours, titles, links, the clipboard, bells: nothing of them is left."""
    assert clean(text) == "red"
