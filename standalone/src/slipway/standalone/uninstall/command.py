"""The command `slipway uninstall`; what it needs is imported when it runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from slipway.cli.errors import CommandFailed
from slipway.cli.session import PlanOption, YesOption
from slipway.standalone import defaults

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(help="remove Slipway's service, its data, and its access to every Proxmox; guests run on")
def _uninstall(
    *,
    data: Annotated[
        Any,
        typer.Option(parser=defaults.read_folder, metavar="FOLDER", help="the installation's data folder"),
    ] = defaults.DATA,
    plan: PlanOption = False,
    yes: YesOption = False,
) -> int:
    from slipway.cli.session import run_to_end
    from slipway.contracts.problems import SlipwayError
    from slipway.standalone.uninstall.removal import uninstall

    try:
        return run_to_end(uninstall(Path(data), is_plan=plan, yes=yes))
    except SlipwayError as error:
        raise CommandFailed(str(error)) from error
