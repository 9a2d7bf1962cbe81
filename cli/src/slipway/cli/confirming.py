"""What takes away is confirmed: asked in a terminal, said beforehand with `--yes`, and refused otherwise.

The one place that decides it, for one container and for many, for the first try and for every later one.
"""

import argparse
import signal
import sys
from collections.abc import Awaitable, Callable

from slipway.contracts.job_kinds import JobKind


class Unconfirmed(Exception):
    """It takes something away, and nobody can be asked."""


def destroys(kind: str) -> bool:
    """Whether a kind of job, or the verb of its name, takes something away for good."""
    name = kind if "." in kind else f"container.{kind}"
    return name in set(JobKind) and JobKind(name).destroys


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the flag that answers beforehand."""
    parser.add_argument(
        "--yes",
        action="store_true",
        help="do it without being asked, if it takes something away; needed without a terminal",
    )


async def is_confirmed(
    given: argparse.Namespace, what: str, show: Callable[[], Awaitable[object]] | None = None
) -> bool:
    """Ask before something is lost, once it was shown what.

    Args:
        given: the command line; `--yes` is the answer.
        what: is to be done.
        show: shows what would be lost, if it was not shown already.

    Raises:
        Unconfirmed: if there is no terminal to ask in, and no `--yes`.
    """
    if given.yes:
        return True
    if not sys.stdin.isatty():
        raise Unconfirmed(
            f"{what}: there is no terminal to ask in, so nothing was done. Add --yes to do it, or --plan to "
            "see what it would do."
        )
    if show is not None:
        await show()
    return agreed(f"{what}. Do it? [y/N] ", default=False)


def agreed(question: str, *, default: bool) -> bool:
    """Ask a question; Ctrl-D is no, Ctrl-C ends the program."""
    # The loop's own handler would only take note of it until the answer comes.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        answer = input(question).strip().lower()
    except EOFError:
        return False
    finally:
        signal.signal(signal.SIGINT, former)
    return answer in {"y", "yes"} or (default and not answer)
