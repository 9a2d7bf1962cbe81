"""The command `slipway doctor`; what it needs is imported when it runs, as for the other commands here."""

from pathlib import Path
from typing import Annotated, Any

import typer

from slipway.cli.errors import WrongInput
from slipway.cli.formats import Format
from slipway.cli.session import FormatOption
from slipway.standalone import defaults

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(help="check this machine's installation, and say what to do about what is wrong")
def _doctor(
    *,
    data: Annotated[
        Any,
        typer.Option(parser=defaults.read_folder, metavar="FOLDER", help="the installation's data folder"),
    ] = defaults.DATA,
    port: Annotated[
        Any,
        typer.Option(
            parser=defaults.read_port,
            metavar="PORT",
            help="that Slipway shall listen on, while it does not run",
        ),
    ] = str(defaults.PORT),
    output: FormatOption = Format.TABLE,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="FILE",
            help="also write an archive (.tar.gz) for who helps you: versions, settings, logs; no secrets",
        ),
    ] = None,
) -> int:
    from slipway.cli.session import run_to_end
    from slipway.standalone.doctor.examine import examine

    if bundle is not None and bundle.exists():
        raise WrongInput(f"{bundle} exists already: give another name, or remove it")
    return run_to_end(examine(Path(data), port=port, form=output, bundle=bundle))
