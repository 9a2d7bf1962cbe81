"""What destroys has a flag that says yes, wherever it can be typed."""

import argparse
from collections.abc import Iterator

import pytest

from slipway.cli import __main__ as slipway
from slipway.cli.confirming import Unconfirmed, destroys, is_confirmed
from slipway.contracts.job_kinds import JobKind


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Give every command, those below it after it."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from commands(below)


def test_every_verb_that_destroys_can_be_confirmed() -> None:
    """By its name, and where kinds are given as words."""
    known = {each.prog.removeprefix("slipway "): each for each in commands(slipway._parser())}
    verbs = {str(kind).removeprefix("container.") for kind in JobKind if kind.destroys}

    takes_yes = {name for name, each in known.items() if "--yes" in each._option_string_actions}

    assert verbs <= set(known)
    assert takes_yes >= verbs | {"retry", "cancel", "jobs run", "remove-cluster"}


@pytest.mark.parametrize("kind", ["container.delete", "rollback", "container.restore", "snapshot-delete"])
def test_what_takes_something_away_destroys(kind: str) -> None:
    """By the kind of its job or the name of its verb."""
    assert destroys(kind)


@pytest.mark.parametrize("kind", ["container.stop", "resize", "snapshot", "batch", "nothing"])
def test_the_rest_does_not(kind: str) -> None:
    """What is not known is for the API to refuse."""
    assert not destroys(kind)


async def test_yes_needs_no_terminal() -> None:
    """Without it one is told what to add."""
    assert await is_confirmed(argparse.Namespace(yes=True), "delete web")
    with pytest.raises(Unconfirmed, match=r"delete web: .* Add --yes"):
        await is_confirmed(argparse.Namespace(yes=False), "delete web")
