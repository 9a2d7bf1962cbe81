"""The verbs about clusters: what there are and how they are, and how one is taken out of Slipway."""

import argparse
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console

from slipway.cli import confirming, looks, planning
from slipway.cli.following import connect
from slipway.cli.showing import complain, show_items, show_rows, tell


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add them."""
    words = "list clusters and their nodes, with what is wrong and what to do about it"
    listing = commands.add_parser("clusters", help=words)
    listing.add_argument("--data", type=Path, help="data folder of the `up` to talk to")
    listing.set_defaults(act=_list)
    text = "take a cluster out of Slipway; its hosts are not touched, and adding it again brings all back"
    parser = commands.add_parser("remove-cluster", help=text)
    parser.add_argument("--data", type=Path, help="data folder of the `up` to talk to")
    parser.add_argument("cluster", help="name or id")
    planning.add_to(parser)
    confirming.add_to(parser)
    parser.set_defaults(act=_remove)


async def _list(given: argparse.Namespace) -> int:
    """List them; what is wrong is told beside the list."""
    async with connect(given) as client:
        clusters = await client.items("/clusters")
    rows = [
        (
            each["name"],
            node["node"],
            _state(node, client.now),
            node.get("cores"),
            _room(node),
            each["version"],
        )
        for each in clusters
        for node in each["nodes"]
    ]
    show_rows(Console(), ("cluster", "node", "state", "cores", "free for disks", "version"), rows)
    for words in looks.outages_of(clusters):
        complain(words)
    return 0


def _state(node: Mapping[str, Any], now: datetime) -> str:
    return looks.state_of("online" if node["is_online"] else "offline", node, now)


def _room(node: Mapping[str, Any]) -> str:
    able = [each for each in node["storages"] if "rootdir" in each["content"] and each["is_active"]]
    return ", ".join(f"{each['name']} {_amount(each['free_bytes'])}" for each in able)


def _amount(free_bytes: int | None) -> str:
    return "unknown" if free_bytes is None else f"{free_bytes >> 30} GiB"


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
