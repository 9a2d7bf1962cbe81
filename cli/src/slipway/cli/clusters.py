"""The verb that takes a cluster out of Slipway."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console

from slipway.cli import confirming, planning
from slipway.cli.following import connect
from slipway.cli.showing import show_items, tell


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add it."""
    text = "take a cluster out of Slipway; its hosts are not touched, and adding it again brings all back"
    parser = commands.add_parser("remove-cluster", help=text)
    parser.add_argument("--data", type=Path, help="data folder of the `up` to talk to")
    parser.add_argument("cluster", help="name or id")
    planning.add_to(parser)
    confirming.add_to(parser)
    parser.set_defaults(act=_remove)


async def _remove(given: argparse.Namespace) -> int:
    console = Console()
    async with connect(given) as client:
        path = f"/clusters/{quote(given.cluster, safe='')}"
        held = await client.delete(path, plan="true")
        if given.plan:
            _show(console, held)
            return 0
        count = len(held["containers"])
        what = f"remove cluster {held['name']} with {count} containers"
        if not await confirming.is_confirmed(given, what):
            return 1
        gone = await client.delete(path)
    count = len(gone["containers"])
    words = f"Cluster {gone['name']} is removed; {count} containers are forgotten, and go on as they are."
    tell(console, words)
    return 0


def _show(console: Console, held: Mapping[str, Any]) -> None:
    nodes = ", ".join(held["nodes"]) or "none"
    words = f"Cluster {held['name']}, nodes: {nodes}. These would be forgotten, and go on running:"
    tell(console, words)
    show_items(("vmid", "hostname", "node", "id"), held["containers"])
