"""What destroys has a flag that says yes, wherever it can be typed."""

from typing import Any

import pytest
from typer.main import get_command

from slipway.cli.app import app
from slipway.cli.confirmation import Unconfirmed, destroys, is_confirmed
from slipway.contracts.job_kinds import JobKind


def options(command_line: str) -> set[str]:
    """Return the options of a command."""
    command: Any = get_command(app)
    with command.make_context("slipway", [], resilient_parsing=True) as context:
        for word in command_line.split():
            command = command.get_command(context, word)
        return {option for parameter in command.params for option in parameter.opts}


OTHERS = ("retry", "cancel", "jobs run", "remove-cluster", "container rollback")
DESTROYS = [str(kind).replace(".", " ") for kind in JobKind if kind.destroys]


@pytest.mark.parametrize("command_line", [*DESTROYS, *OTHERS])
def test_what_destroys_can_be_confirmed(command_line: str) -> None:
    """By its verb, and where kinds are given as words."""
    assert "--yes" in options(command_line)


@pytest.mark.parametrize("command_line", ["stop", "resize", "snapshot", "create"])
def test_the_rest_takes_no_yes(command_line: str) -> None:
    """Where nothing is lost there is nothing to confirm."""
    assert "--yes" not in options(command_line)


@pytest.mark.parametrize("kind", ["container.delete", "rollback", "container.restore", "snapshot-delete"])
def test_what_takes_something_away_destroys(kind: str) -> None:
    """By the kind of its job or the name of its verb."""
    assert destroys(kind)


@pytest.mark.parametrize("kind", ["container.stop", "resize", "snapshot", "batch", "nothing"])
def test_the_rest_does_not(kind: str) -> None:
    """The API refuses an unknown kind."""
    assert not destroys(kind)


async def test_yes_needs_no_terminal() -> None:
    """Without it the error names what to add."""
    assert await is_confirmed("delete web", yes=True)
    with pytest.raises(Unconfirmed, match=r"delete web: .* Add --yes"):
        await is_confirmed("delete web", yes=False)
