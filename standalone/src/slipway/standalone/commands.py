"""The commands of the host: `up`, `demo`, `demo-clean`, `topology`; `slipway` finds each by its entry point.

What a command needs is imported when it runs: `slipway --help` reads this module.
"""

import os
import sys
from collections.abc import Coroutine, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from slipway.cli.errors import CommandFailed, WrongInput
from slipway.standalone import defaults

_DEMO_DATA = defaults.demo_data()
DemoData = Annotated[
    Any, typer.Option("--data", parser=defaults.read_folder, metavar="FOLDER", help="the demo's data folder")
]

up = typer.Typer(rich_markup_mode=None, add_completion=False)
demo = typer.Typer(rich_markup_mode=None, add_completion=False)
demo_clean = typer.Typer(rich_markup_mode=None, add_completion=False)
topology = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="declare the streams and buckets of the bus",
)


@up.command(help="run all of Slipway on this machine, until SIGTERM")
def _up(
    *,
    data: Annotated[
        Any, typer.Option(parser=defaults.read_folder, metavar="FOLDER", help="where everything is stored")
    ] = defaults.DATA,
    port: Annotated[
        Any,
        typer.Option(
            parser=defaults.read_port, metavar="PORT", help="of the page and the API; 0 takes a free one"
        ),
    ] = str(defaults.PORT),
    host: Annotated[
        str, typer.Option(help="the address to listen on; 0.0.0.0 is all of them, with TLS")
    ] = defaults.HOST,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(
            envvar="SLIPWAY_TLS_CERTIFICATE_FILE", help="instead of a self-signed certificate (PEM)"
        ),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(envvar="SLIPWAY_TLS_KEY_FILE", help="the certificate's private key (PEM)")
    ] = None,
    acme: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="have a CA issue a certificate for this name (SLIPWAY_ACME_...)"),
    ] = None,
    plain_http: Annotated[
        bool,
        typer.Option(
            "--plain-http", help="no TLS at --host: only for a proxy that has it, and reaches you alone"
        ),
    ] = False,
    lab: Annotated[bool, typer.Option("--lab", help="bring a pretend Proxmox cluster along")] = False,
    guests: Annotated[Literal["auto", "lxc", "simulated"], typer.Option(help="of the lab")] = "auto",
    nodes: Annotated[
        int | None, typer.Option(min=1, help="how many nodes the lab has; settled at its first start, 1")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="also print what every process logs; it is in DATA/log anyway")
    ] = False,
) -> int:
    from slipway.lab.settings import MOST_NODES
    from slipway.standalone.address import listening
    from slipway.standalone.launch import become

    if nodes is not None and nodes > MOST_NODES:
        raise WrongInput(f"--nodes {nodes}: the lab has at most {MOST_NODES}")
    at = listening(host, certificate=tls_certificate, key=tls_key, acme=acme or (), is_plain=plain_http)
    options = {"port": port, "with_lab": lab, "guests": guests, "nodes": nodes, "is_verbose": verbose}
    become(["slipway", *sys.argv[1:]], data=str(data), listening=asdict(at), **options)


@demo.command(help="create a container on the lab before your eyes")
def _demo(
    *,
    once: Annotated[bool, typer.Option("--once", envvar="ONCE", help="stop by itself")] = False,
    data: DemoData = _DEMO_DATA,
    port: Annotated[
        Any,
        typer.Option(
            parser=defaults.read_port, metavar="PORT", envvar="PORT", help="default: 7880, or a free one"
        ),
    ] = None,
) -> int:
    from slipway.standalone.demo import run_demo

    return _run(run_demo(data=data, is_once=once, port=port))


@demo_clean.command(help="undo what the demo installed and changed")
def _demo_clean(*, data: DemoData = _DEMO_DATA) -> int:
    from slipway.standalone.cleaning import clean_demo

    return _run(clean_demo(data))


@topology.callback()
def _topology() -> None:
    """Keep `apply` a verb: an app with a single command would be that command."""


@topology.command("apply", help="create, diff and update; refuse what would destroy")
def _apply(
    *,
    nats_url: Annotated[str | None, typer.Option(help="default: SLIPWAY_NATS_URL")] = None,
    nkey_file: Annotated[
        Path | None, typer.Option(help="the administrator's; default: SLIPWAY_NATS_NKEY_FILE")
    ] = None,
    integrators_nkey_file: Annotated[
        Path | None,
        typer.Option(help="of the user integrators-admin; default: SLIPWAY_INTEGRATORS_NKEY_FILE"),
    ] = None,
) -> int:
    options = {
        "nats_url": nats_url,
        "nats_nkey_file": nkey_file,
        "integrators_nkey_file": integrators_nkey_file,
    }
    return _run(_apply_topology({name: value for name, value in options.items() if value is not None}))


async def _apply_topology(options: Mapping[str, object]) -> int:
    """Apply the declared topology, with the settings of the environment and these."""
    from slipway.cli.terminal import say
    from slipway.runtime.process import logs
    from slipway.runtime.topology.__main__ import AdminSettings, apply_as_admin

    logs.configure("topology")
    changes = await apply_as_admin(AdminSettings().model_copy(update=options))
    say("\n".join(str(change) for change in changes) or "unchanged")
    return 0


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Run a command; raise what an operator can understand as a failure of the command line."""
    from pydantic import ValidationError

    from slipway.cli.session import run_to_end
    from slipway.contracts.problems import SlipwayError
    from slipway.lab.guests.protocol import GuestError
    from slipway.runtime.process.settings import SettingsProblem, explain

    os.umask(0o022)
    try:
        return run_to_end(work)
    except (SettingsProblem, SlipwayError, GuestError) as error:
        raise CommandFailed(str(error)) from error
    except ValidationError as error:
        raise WrongInput("; ".join(explain(error))) from error
