"""The command `slipway upgrade`; what it needs is imported when it runs."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from slipway.cli.errors import CommandFailed
from slipway.cli.session import PlanOption
from slipway.standalone import defaults

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(help="bring a data folder to this build: copy, back up, migrate, check; or put it back")
def _upgrade(
    *,
    data: Annotated[
        Any,
        typer.Option(parser=defaults.read_folder, metavar="FOLDER", help="of `slipway up`"),
    ] = defaults.DATA,
    backup: Annotated[
        Path | None,
        typer.Option(
            "--backup",
            metavar="FILE",
            help="where the backup goes, without the key ring; default: DATA/backups",
        ),
    ] = None,
    plan: PlanOption = False,
) -> int:
    from slipway.cli.session import run_to_end
    from slipway.contracts.problems import SlipwayError
    from slipway.standalone.upgrade.perform import upgrade

    os.umask(0o022)
    file = backup.absolute() if backup else None
    try:
        return run_to_end(upgrade(Path(data), backup=file, is_plan=plan))
    except SlipwayError as error:
        raise CommandFailed(str(error)) from error
