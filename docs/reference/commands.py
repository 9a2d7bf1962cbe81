"""The page of all commands, read from the tree of commands itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from slipway.cli import app as slipway

PLACES = ((Path(slipway.__file__).parents[4], "."), (Path.home(), "~"))
"""Folders that a default is shown relative to: it must read the same on every machine."""

INTRODUCTION = """\
# Commands

`slipway` finds the server that runs on this machine in its data folder (`--data`); `SLIPWAY_URL` and
`SLIPWAY_TOKEN_FILE` name another one. A command ends with 0, or with another number and one line that says
why and what to do. Every command but those of the host also takes `--data DIR` and `-o`, `--output`:
`table`, `wide`, `json`, `yaml` or `name`. `json` and `yaml` print what the API answered; progress then goes
to standard error.

`up`, `demo`, `demo-clean`, `topology`, `doctor`, `service` and `uninstall` come with `slipway-standalone`,
the others with `slipway-cli`.
`slipway --install-completion` sets up the completion of commands, options and container names.

The verbs of a container (`slipway container start`) are also verbs of their own (`slipway start`), and there
are short forms of the usual commands:

| short | command |
|---|---|
{short}
"""


def commands() -> str:
    """Return every command with its arguments and options."""
    root = get_command(slipway.app)
    with root.make_context("slipway", [], resilient_parsing=True) as context:
        short = "\n".join(
            f"| `slipway {name}` | `slipway {noun} {verb}` |" for name, (noun, verb) in slipway.SHORT.items()
        )
        lines = [
            line
            for command in _commands(root, context, "slipway")
            for line in _command(command[0], context, command[1])
        ]
    return "\n".join([INTRODUCTION.format(short=short), *lines])


def _commands(command: Any, context: Any, path: str) -> Iterator[tuple[Any, str]]:
    """Yield each command with its path, those below it after it; no short form of another one."""
    yield command, path
    names = command.list_commands(context) if hasattr(command, "list_commands") else ()
    verbs = slipway.container_verbs()
    for name in names:
        if path != "slipway" or not (name in slipway.SHORT or name in verbs):
            yield from _commands(command.get_command(context, name), context, f"{path} {name}")


def _command(command: Any, context: Any, path: str) -> Iterator[str]:
    yield f"## `{path}`\n"
    if command.help:
        yield _sentence(command.help.split("\n\n")[0])
    is_of_host = path.split()[1:2] and path.split()[1] not in slipway.NOUNS
    hidden = {"install_completion", "show_completion", *(() if is_of_host else ("data", "output"))}
    shown = [each for each in command.params if each.name not in hidden]
    if shown:
        yield "| argument | default | meaning |\n|---|---|---|"
        for each in shown:
            yield f"| {_name(each, context)} | {_default(each)} | {_escaped(each.help or '')} |"
        yield ""


def _name(parameter: Any, context: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name).upper()}`"
    if parameter.is_flag:
        return ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
    value = parameter.metavar or parameter.display_type(context)
    return ", ".join(f"`{option} {_escaped(value)}`" for option in parameter.opts)


def _default(parameter: Any) -> str:
    default = parameter.default
    if parameter.param_type_name == "argument":
        return "required" if parameter.required else ""
    if default is None or default is False or default == [] or parameter.secondary_opts:
        return ""
    if isinstance(default, Path):
        default = next(
            (Path(at) / default.relative_to(top) for top, at in PLACES if default.is_relative_to(top)),
            default,
        )
    return f"`{getattr(default, 'value', default)}`"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}.\n"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
