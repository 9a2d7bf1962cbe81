"""Tables and sentences: whole for a program, harmless for a terminal."""

import io

import pytest

from slipway.cli.formats import print_table
from slipway.cli.terminal import clean, say

NAMES = ("id", "notes")
ID = "01980f7c-6a53-7cc1-b4a3-3f0f6e1c2d3e"


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        """Return true."""
        return True


def shown(rows: list[list[object]], *, is_terminal: bool) -> str:
    """Print a table; return what was written."""
    file = Terminal() if is_terminal else io.StringIO()
    print_table(NAMES, rows, file)
    return file.getvalue()


def test_for_a_program() -> None:
    """Anywhere but in a terminal a row is a line with tabs, however long it is."""
    rows: list[list[object]] = [[ID, "n" * 200], [None, "two\nlines"]]

    assert shown(rows, is_terminal=False) == f"id\tnotes\n{ID}\t{'n' * 200}\n\ttwo lines\n"


def test_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id stays whole, and what does not fit beside it goes on in the next line."""
    monkeypatch.setenv("COLUMNS", "60")

    text = shown([[ID, "n" * 40]], is_terminal=True)

    assert ID in text
    assert text.count("n") == 40 + len("notes") - 4


@pytest.mark.parametrize("is_terminal", [True, False])
def test_notes_are_words(is_terminal: bool) -> None:  # noqa: FBT001  a parameter of the test
    """What looks like markup is shown as it is; what would steer a terminal is taken out."""
    text = shown([[1, "see [/etc/x] \x1b]0;title\x07\x1b[2J\x9b1mhere"]], is_terminal=is_terminal)

    assert "see [/etc/x] 1mhere" in text
    assert not [steering for steering in ("\x1b]", "\x1b[2J", "\x9b", "title") if steering in text]


def test_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence is one line, and no markup."""
    say("LOST: [bold]" + "x" * 40)

    assert capsys.readouterr().out == "LOST: [bold]" + "x" * 40 + "\n"


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "\x1b]8;;http://x\x1b\\red", "\x1b]52;c;AAAA\x07red", "r\x07e\x00d", "\x1bcred"]
)
def test_clean(text: str) -> None:
    """Colours, titles, links, the clipboard, bells: nothing of them is left."""
    assert clean(text) == "red"
