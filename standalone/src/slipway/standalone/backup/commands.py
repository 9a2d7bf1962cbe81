"""The commands `slipway backup` and `slipway restore`; what they need is imported when they run."""

import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from slipway.cli.errors import CommandFailed, WrongInput
from slipway.standalone import defaults

backup = typer.Typer(rich_markup_mode=None, add_completion=False)
restore = typer.Typer(rich_markup_mode=None, add_completion=False)
Data = Annotated[
    Any, typer.Option("--data", parser=defaults.read_folder, metavar="FOLDER", help="of `slipway up`")
]


@backup.command(help="back up Slipway itself, running or not (a container: `slipway container backup`)")
def _backup(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="ends in .slipway; it must not exist yet")],
    data: Data = defaults.DATA,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", metavar="FILE", help="also write the key ring; store it apart"),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="only read an existing backup, and say what it holds")
    ] = False,
) -> int:
    from slipway.standalone.backup.archive import verify
    from slipway.standalone.backup.create import create_backup
    from slipway.standalone.backup.restore import describe
    from slipway.standalone.folders import DataFolder

    if check:
        for name, text in describe(verify(file)).items():
            typer.echo(f"{name}: {text}")
        return 0
    _run(create_backup(DataFolder(data.resolve()), file.absolute(), keys.absolute() if keys else None))
    return 0


@restore.command(
    help="restore Slipway itself into an empty data folder, paused (a container: `slipway container restore`)"
)
def _restore(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="what `slipway backup` wrote")],
    keys: Annotated[Path, typer.Option("--keys", metavar="FILE", help="the key ring")],
    data: Data = defaults.DATA,
) -> int:
    from slipway.cli.terminal import say
    from slipway.standalone.backup.restore import restore_backup

    restored = _run(restore_backup(file.absolute(), keys.absolute(), data.resolve()))
    say(f"Restored {data} as of {restored.manifest.created_at:%Y-%m-%d %H:%M:%S} UTC. It starts PAUSED:")
    say(f"  slipway up --data {data}")
    say(f"  slipway resume --plan --data {data}    shows what is different on Proxmox, and what would run")
    return 0


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a command; raise what an operator can understand as a failure of the command line."""
    import asyncio

    from pydantic import ValidationError

    from slipway.contracts.problems import SlipwayError
    from slipway.runtime.process import logs
    from slipway.runtime.process.settings import LogSettings, SettingsProblem, explain

    os.umask(0o022)
    logs.configure("slipway", LogSettings(log_level="warning", log_format="text"))
    try:
        return asyncio.run(work)
    except (SettingsProblem, SlipwayError) as error:
        raise CommandFailed(str(error)) from error
    except ValidationError as error:
        raise WrongInput("; ".join(explain(error))) from error
