"""The `slipway` command."""

import argparse
import asyncio
import importlib.metadata
import os
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from slipway.cli import changes, cleaning, clusters, demo, output, topology, up, verbs
from slipway.cli.changes import WrongArgument
from slipway.cli.client import ApiProblem, ApiUnreachable
from slipway.cli.confirming import Unconfirmed
from slipway.cli.embedded.process import EmbeddedFailure
from slipway.cli.endpoints import NotRunning
from slipway.cli.folders import FolderInUse
from slipway.cli.supervisor import ProcessFailed
from slipway.contracts.problems import SlipwayError
from slipway.lab.__main__ import count
from slipway.lab.guests.protocol import GuestError
from slipway.lab.site import OtherNodes
from slipway.runtime.process.settings import SettingsProblem, explain

_WRONG_INPUT = (Unconfirmed, WrongArgument, argparse.ArgumentTypeError, ValidationError)
"""What whoever typed it has to correct: exit status 2."""
_EXPECTED = (
    ApiProblem,
    ApiUnreachable,
    EmbeddedFailure,
    FolderInUse,
    GuestError,
    NotRunning,
    OSError,
    OtherNodes,
    ProcessFailed,
    SettingsProblem,
    SlipwayError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = _parser().parse_args(arguments)
    os.umask(0o022)
    output.forgive()
    try:
        work: Coroutine[Any, Any, int] = given.act(given)
        return asyncio.run(work)
    except BrokenPipeError:
        # Who reads our output has seen enough.
        output.silence()
        return 1
    except (*_WRONG_INPUT, *_EXPECTED) as error:
        sys.stderr.write(f"slipway: {output.clean(_words_of(error))}\n")
        return 2 if isinstance(error, _WRONG_INPUT) else 1
    except KeyboardInterrupt:
        return 130
    finally:
        output.finish()


def _words_of(error: Exception) -> str:
    match error:
        case ValidationError():
            return "; ".join(explain(error))
        case OSError(strerror=str(why)) if error.filename:
            return f"{error.filename}: {why}"
    return str(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="slipway", description="A control plane for LXC on Proxmox VE.")
    parser.add_argument(
        "--version", action="version", version=f"slipway {importlib.metadata.version('slipway-cli')}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_up(commands)
    _add_demo(commands)
    verbs.add_to(commands)
    changes.add_to(commands)
    clusters.add_to(commands)
    topology.add_to(commands)
    return parser


def _add_up(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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


def _add_demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("demo", help="create a container on the lab before your eyes")
    parser.add_argument("--once", action="store_true", help="stop by itself; also ONCE=1")
    parser.add_argument("--data", type=Path, default=cleaning.default_data())
    parser.add_argument("--port", type=up.read_port, help="default: 7880, or a free one")
    parser.set_defaults(act=demo.run_demo)
    removing = commands.add_parser("demo-clean", help="undo what the demo installed and changed")
    removing.add_argument("--data", type=Path, default=cleaning.default_data())
    removing.set_defaults(act=cleaning.clean_demo)


if __name__ == "__main__":
    sys.exit(main())
