"""The tree of commands: nouns with verbs (`container list`), short forms of them (`ls`), and plug-ins.

A command's module is imported when that command is looked up. Plug-ins are entry points of the group
`slipway.commands`: a command's name, and a `typer.Typer` with that one command or with verbs.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from slipway.cli import terminal
from slipway.cli.errors import CommandFailed, explanation
from slipway.cli.version import version_line

PLUGINS = "slipway.commands"
NOUNS: Mapping[str, str] = {
    "container": "slipway.cli.containers:app",
    "job": "slipway.cli.jobs:app",
    "cluster": "slipway.cli.cluster_access:app",
    "node": "slipway.cli.nodes:app",
    "access": "slipway.cli.tiers:app",
    "template": "slipway.cli.templates:app",
    "os-template": "slipway.cli.os_templates:app",
    "audit": "slipway.cli.audit:app",
    "installation": "slipway.cli.installation:app",
    "jobs": "slipway.cli.jobs:plural",
}
SHORT: Mapping[str, tuple[str, str]] = {
    "ls": ("container", "list"),
    "containers": ("container", "list"),
    "ps": ("container", "ps"),
    "show": ("container", "show"),
    "create": ("container", "create"),
    "delete": ("container", "delete"),
    "rm": ("container", "delete"),
    "forget": ("container", "forget"),
    "snapshots": ("container", "snapshots"),
    "backups": ("container", "backups"),
    "reveal": ("container", "reveal"),
    "logs": ("job", "logs"),
    "follow": ("job", "logs"),
    "cancel": ("job", "cancel"),
    "retry": ("job", "retry"),
    "clusters": ("cluster", "list"),
    "remove-cluster": ("cluster", "remove"),
    "templates": ("template", "list"),
    "resume": ("installation", "resume"),
}
_HOST_COMMANDS = frozenset(
    {"up", "demo", "demo-clean", "topology", "doctor", "service", "uninstall", "backup", "restore"}
)
_OF_CONTAINERS = {
    verb: f"A container has its own: `slipway container {verb}`." for verb in ("backup", "restore")
}
"""Without a noun these are about Slipway itself."""


class Root(TyperGroup):
    """All commands; each is imported when it is looked up."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Find a noun, a short form, a plug-in, or a verb of a container."""
        if cmd_name in NOUNS:
            module, _, name = NOUNS[cmd_name].partition(":")
            return get_group(getattr(import_module(module), name))
        if cmd_name in SHORT:
            noun, verb = SHORT[cmd_name]
            return self.get_command(ctx, noun).get_command(ctx, verb)
        for plugin in entry_points(group=PLUGINS, name=cmd_name):
            return get_command(plugin.load())
        if cmd_name in _HOST_COMMANDS:
            raise CommandFailed(
                f"`slipway {cmd_name}` runs servers on this machine, and slipway-standalone is not installed "
                f"here. Install it beside slipway-cli. {_OF_CONTAINERS.get(cmd_name, '')}".rstrip()
            )
        return container_verbs().get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List them in the help by what they are."""
        plugins = [plugin.name for plugin in entry_points(group=PLUGINS)]
        sections = {
            "Nouns": NOUNS,
            "Short verbs": SHORT,
            "Verbs of a container": container_verbs(),
            "This machine": plugins,
        }
        for title, names in sections.items():
            rows = [(name, self.get_command(ctx, name).get_short_help_str(90)) for name in names]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is Typer's
        """List all names, the nouns first."""
        plugins = [plugin.name for plugin in entry_points(group=PLUGINS)]
        return [*NOUNS, *SHORT, *container_verbs(), *plugins]


def container_verbs() -> Mapping[str, Any]:
    """Return the verbs of the job kinds that are also verbs of their own."""
    verbs = import_module("slipway.cli.changes").commands()
    return {verb: command for verb, command in verbs.items() if verb not in _OF_CONTAINERS}


app = typer.Typer(
    cls=Root,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def slipway(
    *, version: Annotated[bool, typer.Option("--version", help="print the version and exit")] = False
) -> None:
    """Control LXC containers on Proxmox VE.

    Without --data, SLIPWAY_URL and SLIPWAY_TOKEN_FILE name the server.
    """
    if version:
        terminal.say(version_line())
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run one command line; report a failure in one line, and return the exit status."""
    terminal.forgive()
    try:
        return int(get_command(app)(list(arguments), prog_name="slipway", standalone_mode=False) or 0)
    except BrokenPipeError:
        # Whoever reads our output has closed it.
        terminal.silence()
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as error:
        message = explanation(error)
        if message is None:
            raise
        sys.stderr.write(f"{terminal.clean(message)}\n")
        return error.status if isinstance(error, CommandFailed) else int(getattr(error, "exit_code", 1))
    finally:
        terminal.finish()
