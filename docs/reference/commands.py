"""The page of all commands: what the command line says about itself, read from its own parser."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from slipway.cli import __main__ as slipway

PLACES = ((Path(slipway.__file__).parents[4], "."), (Path.home(), "~"))
"""What a default is told from: it must read the same on every machine."""

INTRODUCTION = """\
# Commands

`slipway` finds the server that runs on this machine in its data folder (`--data`); `SLIPWAY_URL` and
`SLIPWAY_TOKEN_FILE` name another one. It ends with 0, or with another number and one line that says why.
"""


def commands() -> str:
    """Give every command with its arguments and options."""
    parser = slipway._parser()  # noqa: SLF001 - it is this very parser that the page is about
    return "\n".join([INTRODUCTION, *(line for each in _commands(parser) for line in _command(*each))])


def _commands(
    parser: argparse.ArgumentParser, words: str = ""
) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Give each parser with the words it is listed with, those below it after it."""
    yield parser, words
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to look
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
            listed = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
            for name, below in action.choices.items():
                yield from _commands(below, listed.get(name, ""))


def _command(parser: argparse.ArgumentParser, words: str) -> Iterator[str]:
    shown = [
        action
        for action in parser._actions  # noqa: SLF001 - the same
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)  # noqa: SLF001
    ]
    yield f"## `{parser.prog}`\n"
    yield _sentence(parser.description or words)
    if shown:
        yield "| argument | default | meaning |\n|---|---|---|"
        yield from (
            f"| {_name(action)} | {_default(action)} | {_escaped(_meaning(action))} |" for action in shown
        )
        yield ""


def _name(action: argparse.Action) -> str:
    metavar = action.metavar or ("/".join(map(str, action.choices)) if action.choices else action.dest)
    value = metavar if isinstance(metavar, str) else " ".join(metavar)
    value = value.upper() if action.option_strings and not action.choices else value
    if not action.option_strings:
        return f"`{value}`"
    return ", ".join(
        f"`{option}`" if action.nargs == 0 else f"`{option} {value}`" for option in action.option_strings
    )


def _default(action: argparse.Action) -> str:
    default = action.default
    if default is None or default is False or default in ([], argparse.SUPPRESS):
        return "required" if action.required and not action.option_strings else ""
    if isinstance(default, Path):
        default = next(
            (Path(at) / default.relative_to(top) for top, at in PLACES if default.is_relative_to(top)),
            default,
        )
    return f"`{default}`"


def _meaning(action: argparse.Action) -> str:
    return (action.help or "") % {"default": action.default, "prog": "slipway"} if action.help else ""


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:].rstrip('.')}.\n" if words else ""


def _escaped(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|")
