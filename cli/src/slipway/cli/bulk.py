"""`slipway jobs run`: the same for every container of a selection, followed as one batch."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from slipway.cli import confirming, planning
from slipway.cli.changes import VERBS, WrongArgument, read_argument
from slipway.cli.following import connect, follow_job
from slipway.cli.showing import tell
from slipway.client.api import Client


def add_to(jobs: argparse.ArgumentParser) -> None:
    """Add `run` below the command that lists jobs."""
    parser = jobs.add_subparsers(metavar="").add_parser("run", help="do the same with many containers")
    parser.add_argument(
        "--data", type=Path, default=argparse.SUPPRESS, help="data folder of the `up` to talk to"
    )
    parser.add_argument("kind", help=f"delete, {', '.join(VERBS)}")
    parser.add_argument("selection", help="like 101,105-110,tag:prod+node:pve1,name:web-*")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an argument")
    parser.add_argument("--plan", action="store_true", help="say what would be done, and do nothing")
    confirming.add_to(parser)
    parser.set_defaults(act=_run)


async def _run(given: argparse.Namespace) -> int:
    console = Console()
    body = {
        "kind": f"container.{given.kind}",
        "selection": given.selection,
        "args": _arguments(given.kind, given.set),
    }
    async with connect(given) as client:
        if given.plan or confirming.destroys(given.kind):
            plan = await client.post("/jobs", body, plan="true")
            status = planning.show_plan(console, plan)
            if given.plan:
                return status
            if not await confirming.is_confirmed(given, f"{given.kind} of {len(plan['items'])}"):
                return 1
            body["plan"] = plan["hash"]
        return 0 if await _follow(client, body, console) else 1


async def _follow(client: Client, body: Mapping[str, Any], console: Console) -> bool:
    accepted = await client.post("/jobs", body)
    counts = accepted["counts"]
    tell(console, f"{counts['total']} items, {counts['failed']} not accepted: job {accepted['job']['id']}")
    return await follow_job(client, accepted["job"]["id"], console)


def _arguments(kind: str, words: list[str]) -> dict[str, Any]:
    """Read `NAME=VALUE` as the verb of this kind does."""
    options = VERBS[kind].options if kind in VERBS else {}
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise WrongArgument(f"--set {word}: it is NAME=VALUE")
        found[name] = read_argument(name, options[name][0], value) if name in options else value
    return found
