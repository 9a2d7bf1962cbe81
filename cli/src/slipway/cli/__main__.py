"""The `slipway` command."""

import argparse
import asyncio
import importlib.metadata
import os
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from slipway.cli import changes, clusters, output, verbs
from slipway.cli.changes import WrongArgument
from slipway.cli.confirming import Unconfirmed
from slipway.cli.errors import CommandFailed
from slipway.client.api import ApiProblem, ApiUnreachable
from slipway.client.endpoints import NotRunning

_EXPECTED = (ApiProblem, ApiUnreachable, CommandFailed, NotRunning, OSError, argparse.ArgumentTypeError)
_WRONG_INPUT = (Unconfirmed, WrongArgument, argparse.ArgumentTypeError)
"""What whoever typed it has to correct: exit status 2."""


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
        return 2 if isinstance(error, _WRONG_INPUT) else getattr(error, "status", 1)
    except KeyboardInterrupt:
        return 130
    finally:
        output.finish()


def _words_of(error: Exception) -> str:
    match error:
        case OSError(strerror=str(why)) if error.filename:
            return f"{error.filename}: {why}"
    return str(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="slipway", description="A control plane for LXC on Proxmox VE.")
    parser.add_argument(
        "--version", action="version", version=f"slipway {importlib.metadata.version('slipway-cli')}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for plugin in importlib.metadata.entry_points(group="slipway.commands"):
        plugin.load()(commands)
    verbs.add_to(commands)
    changes.add_to(commands)
    clusters.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
