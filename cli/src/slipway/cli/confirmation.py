"""Destructive changes are confirmed: by an answer in a terminal, or beforehand by `--yes`; else refused.

The one place that decides it, for one container and for many, for the first try and for every later one.
"""

import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slipway.cli.errors import WrongInput
from slipway.cli.plans import print_losses


class Unconfirmed(WrongInput):
    """Something would be destroyed, and there is no terminal for the question."""


def destroys(kind: str) -> bool:
    """Whether a kind of job, or the verb of its name, destroys something."""
    # Needed only by what may destroy.
    from slipway.contracts.job_kinds import JobKind

    name = kind if "." in kind else f"container.{kind}"
    return name in set(JobKind) and JobKind(name).destroys


async def is_confirmed(
    what: str, *, yes: bool, plan: Callable[[], Awaitable[Mapping[str, Any]]] | None = None
) -> bool:
    """Ask before something is destroyed.

    Args:
        what: is to be done.
        yes: whether the command line has answered already.
        plan: returns the plan whose losses are printed first, if they were not yet.

    Raises:
        Unconfirmed: if there is no terminal to ask in, and no `--yes`.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise Unconfirmed(
            f"{what}: there is no terminal to ask in, so nothing was done. Add --yes to do it, or --plan to "
            "see what it would do."
        )
    if plan is not None:
        print_losses(await plan())
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
