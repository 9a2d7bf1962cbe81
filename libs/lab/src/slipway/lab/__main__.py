"""`python -m slipway.lab serve`: a lab in the foreground, until it is stopped."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from slipway.lab.folder import AlreadyRuns
from slipway.lab.guests.protocol import GuestError
from slipway.lab.host.records import write_json
from slipway.lab.node import Lab, description
from slipway.lab.settings import MOST_NODES
from slipway.lab.site import LOOPBACK, OtherNodes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    try:
        lab = Lab(
            options.data,
            guests=options.guests,
            api_port=options.api_port,
            ssh_port=options.ssh_port,
            name=options.name,
            nodes=options.nodes,
            address=options.address,
        )
        _say(lab.guests_reason)
        asyncio.run(serve(lab))
    except (AlreadyRuns, GuestError, OtherNodes, OSError) as error:
        sys.stderr.write(f"slipway.lab: {error}\n")
        return 2 if isinstance(error, OtherNodes) else 1
    return 0


async def serve(lab: Lab) -> None:
    """Run a lab until SIGTERM or SIGINT; `lab.json` says when it is ready and how to reach it."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await lab.start()
    path = lab.data / "lab.json"
    try:
        write_json(path, description(lab))
        _say(f"API: {lab.endpoint} (token {lab.token_id}); SSH: root at {_doors(lab)}; see {path}")
        await stopped.wait()
    finally:
        path.unlink(missing_ok=True)
        await lab.stop()


def _doors(lab: Lab) -> str:
    if len(lab.doors) == 1:
        return f"port {lab.ssh_port}"
    return "ports " + ", ".join(f"{door.port} ({door.name})" for door in lab.doors)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def count(text: str) -> int:
    """Read how many nodes there shall be, from a command line."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_NODES:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {MOST_NODES}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m slipway.lab", description=__doc__)
    verbs = parser.add_subparsers(required=True)
    serving = verbs.add_parser("serve", help="run pretend Proxmox VE nodes")
    serving.add_argument("--data", type=Path, required=True, help="folder that the lab keeps everything in")
    serving.add_argument("--guests", choices=("lxc", "simulated", "auto"), default="auto")
    serving.add_argument("--api-port", type=int, default=0, help="0 takes any free port")
    serving.add_argument("--ssh-port", type=int, default=0, help="0 takes any free port")
    serving.add_argument("--name", help="the first node's name; else `lab`, or `pve1` of several")
    serving.add_argument("--nodes", type=count, help="how many nodes the cluster has; as before, or one")
    serving.add_argument("--address", default=LOOPBACK, help="an IPv4 address of this machine to listen on")
    return parser


if __name__ == "__main__":
    sys.exit(main())
