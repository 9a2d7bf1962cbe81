"""The commands `slipway service ...`; what they need is imported when they run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from slipway.cli.errors import WrongInput
from slipway.cli.session import PlanOption
from slipway.standalone import defaults

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="run Slipway as a service of systemd",
)


@app.command("install", help="make a user and a hardened unit for Slipway, and start it")
def _install(
    *,
    port: Annotated[
        Any, typer.Option(parser=defaults.read_port, metavar="PORT", help="of the page and the API")
    ] = str(defaults.PORT),
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- OPTIONS", help="further options of `slipway up`", show_default=False),
    ] = None,
    program: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the slipway command to run; default: this one")
    ] = None,
    plan: PlanOption = False,
) -> int:
    from slipway.standalone.systemd.service import install, own_program, require_options_of_up
    from slipway.standalone.systemd.unit import Service

    if port == 0:
        raise WrongInput("a service needs a port that stays: give one from 1 to 65535")
    further = tuple(options or ())
    require_options_of_up(further)
    where = (program or own_program()).absolute()
    return install(Service(program=where, port=port, options=further), is_plan=plan)


@app.command("uninstall", help="stop the service and remove its unit; its data stays")
def _uninstall(*, plan: PlanOption = False) -> int:
    from slipway.standalone.systemd.service import uninstall

    return uninstall(is_plan=plan)


@app.command("status", help="show whether the service runs")
def _status() -> int:
    from slipway.standalone.systemd.service import status

    return status()
