"""Verbs of `slipway`: what a noun has."""

from collections import Counter
from importlib import import_module

import pytest
import typer
from typer.core import TyperArgument
from typer.main import get_group

from slipway.cli.app import NOUNS


@pytest.mark.parametrize("noun", NOUNS)
def test_no_verb_of_a_noun_is_there_twice(noun: str) -> None:
    """Of two commands of one name Typer would run the later one and hide the other."""
    module, _, name = NOUNS[noun].partition(":")
    app: typer.Typer = getattr(import_module(module), name)

    names = [*(each.name for each in app.registered_commands), *(each.name for each in app.registered_groups)]

    assert [each for each, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize("noun", NOUNS)
def test_each_argument_is_explained(noun: str) -> None:
    """Help that shows only a name leaves people to guess what can stand there."""
    module, _, name = NOUNS[noun].partition(":")
    verbs = get_group(getattr(import_module(module), name)).commands

    unexplained = [
        (verb, each.name)
        for verb, command in verbs.items()
        for each in command.params
        if isinstance(each, TyperArgument) and not each.help
    ]

    assert unexplained == []
