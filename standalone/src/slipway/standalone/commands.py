"""The commands of the host: `up`, `demo`, `demo-clean`, `topology`; found by their entry point."""

import argparse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from slipway.cli.errors import CommandFailed, WrongInput
from slipway.contracts.problems import SlipwayError
from slipway.lab.__main__ import count
from slipway.lab.guests.protocol import GuestError
from slipway.lab.site import OtherNodes
from slipway.runtime.process.settings import SettingsProblem, explain
from slipway.standalone import cleaning, demo, topology, up

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - its only name


def add_to(commands: Commands) -> None:
    """Add all of them."""
    _add_up(commands)
    _add_demo(commands)
    topology.add_to(commands)
    for name in ("up", "demo", "demo-clean"):
        parser = commands.choices[name]
        parser.set_defaults(act=_explained(parser.get_default("act")))


def _explained(act: Callable[[argparse.Namespace], Awaitable[int]]) -> Callable[..., Any]:
    async def run(arguments: argparse.Namespace) -> int:
        try:
            return await act(arguments)
        except (SettingsProblem, SlipwayError, GuestError, OtherNodes) as error:
            raise CommandFailed(str(error)) from error
        except ValidationError as error:
            raise WrongInput("; ".join(explain(error))) from error

    return run


def _add_up(commands: Commands) -> None:
    parser = commands.add_parser("up", help="run all of Slipway on this machine, until SIGTERM")
    parser.add_argument("--data", type=Path, default=Path("~/.local/share/slipway").expanduser())
    parser.add_argument(
        "--port",
        type=up.read_port,
        default=up.DEFAULT_PORT,
        help="of the page and the API; 0 takes a free one",
    )
    parser.add_argument("--lab", action="store_true", help="bring a pretend Proxmox cluster along")
    parser.add_argument("--guests", choices=("auto", "lxc", "simulated"), default="auto", help="of the lab")
    parser.add_argument(
        "--nodes", type=count, help="how many nodes the lab has; settled at its first start, 1"
    )
    parser.set_defaults(
        act=lambda given: up.run_up(
            up.Options(
                data=given.data,
                port=given.port,
                with_lab=given.lab,
                guests=given.guests,
                nodes=given.nodes,
            )
        )
    )


def _add_demo(commands: Commands) -> None:
    parser = commands.add_parser("demo", help="create a container on the lab before your eyes")
    parser.add_argument("--once", action="store_true", help="stop by itself; also ONCE=1")
    parser.add_argument("--data", type=Path, default=cleaning.default_data())
    parser.add_argument("--port", type=up.read_port, help="default: 7880, or a free one")
    parser.set_defaults(act=demo.run_demo)
    removing = commands.add_parser("demo-clean", help="undo what the demo installed and changed")
    removing.add_argument("--data", type=Path, default=cleaning.default_data())
    removing.set_defaults(act=cleaning.clean_demo)
