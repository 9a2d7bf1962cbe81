"""Questions in a terminal: a word, a secret, yes or no. Without a terminal nothing is asked."""

import signal
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from slipway.cli.errors import WrongInput
from slipway.cli.terminal import warn

_T = TypeVar("_T")
_TRIES = 5


class NotAsked(WrongInput):
    """An answer is needed, and there is no terminal to ask in."""


def has_terminal() -> bool:
    """Return whether there is someone to ask."""
    return sys.stdin.isatty()


def ask(question: str, *, default: str = "") -> str:
    """Ask for a word; an empty answer is the default, and Ctrl-D ends the program."""
    shown = f"{question} [{default}]: " if default else f"{question}: "
    with _interruptible():
        return input(shown).strip() or default


def ask_until(answer: Callable[[], str], read: Callable[[str], _T]) -> _T:
    """Ask again while an answer can't be read, and say what is wrong with it; after some tries it is raised.

    The answer itself is not shown: it may be a password that was typed at the wrong question.
    """
    for _ in range(_TRIES - 1):
        try:
            return read(answer())
        except WrongInput as error:
            warn(f"{error} Once more:")
    return read(answer())


def ask_secret(question: str) -> str:
    """Ask for a secret, which is not shown."""
    sys.stderr.write(f"{question}: ")
    sys.stderr.flush()
    with _interruptible(), _without_echo(sys.stdin.fileno()):
        return sys.stdin.readline().rstrip("\r\n")


def secret_line(variable: str) -> str:
    """Read a secret from standard input: its first line.

    Raises:
        NotAsked: if there is none; names the variable that could hold it.
    """
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise NotAsked(f"There is no password: set {variable}, or write it to standard input as one line.")
    return line


@contextmanager
def _without_echo(terminal: int) -> Iterator[None]:
    """Show nothing that is typed; what was typed before the question counts."""
    before = termios.tcgetattr(terminal)
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    try:
        termios.tcsetattr(terminal, termios.TCSADRAIN, silent)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        sys.stderr.write("\n")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the question at once, which the loop's own handler would only take note of."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except EOFError:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, former)
