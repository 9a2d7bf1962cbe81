"""The client's verbs: what one can do to a running Slipway from a terminal."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from slipway.cli import bulk, confirming, looks, planning
from slipway.cli.changes import find_container
from slipway.cli.following import connect, follow_job
from slipway.cli.progress import PHASES
from slipway.cli.showing import complain, show_items, show_rows, tell


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add all of them."""
    _add(commands, "templates", _templates, "list what containers can be created from")
    _add(commands, "containers", _containers, "list containers")
    _add(commands, "show", _show, "show a container: its state, services and waiting changes").add_argument(
        "container"
    )
    listing = _add(commands, "jobs", _jobs, "list jobs, newest first; `jobs run` does the same with many")
    listing.add_argument("--limit", type=_count, default=100, help="how many; 100 unless said")
    bulk.add_to(listing)
    creating = _add(commands, "create", _create, "create a container and follow its job")
    creating.add_argument("template")
    creating.add_argument("hostname")
    creating.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a template's variable"
    )
    planning.add_to(creating)
    for name in ("logs", "follow"):
        _add(commands, name, _follow, "show a job's log from its start, to its end").add_argument("job")
    deleting = _add(commands, "delete", _delete, "delete a container, by id, hostname or VMID")
    deleting.add_argument("container")
    deleting.add_argument(
        "--cancel", action="store_true", help="if it is being created: end that, and remove what was made"
    )
    planning.add_to(deleting)
    confirming.add_to(deleting)
    for name, stored in (("snapshots", "a container's snapshots"), ("backups", "the backups of a container")):
        _add(commands, name, _stored, f"list {stored}").add_argument("container")
    forgetting = "drop the record of a container whose host is gone; it is back once it is seen there"
    _add(commands, "forget", _forget, forgetting).add_argument("container")
    retry = _add(commands, "retry", _retry, "do a failed job again, from where it failed")
    retry.add_argument("job")
    retry.add_argument("--phase", choices=PHASES, help="begin there; of a creation")
    planning.add_to(retry)
    confirming.add_to(retry)


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, act: Any, text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text)
    parser.add_argument("--data", type=Path, help="data folder of the `up` to talk to")
    parser.set_defaults(act=act)
    return parser


async def _templates(given: argparse.Namespace) -> int:
    async with connect(given) as client:
        items = await client.items("/templates")
    told = [(each["name"], each.get("manifest") or each) for each in items]
    rows = [(name, manifest.get("version"), manifest.get("description")) for name, manifest in told]
    show_rows(Console(), ("name", "version", "description"), rows)
    return 0


async def _containers(given: argparse.Namespace) -> int:
    async with connect(given) as client:
        items = await client.items("/containers")
        outages = [*looks.outages_of(await client.items("/clusters"))]
    for each in items:
        each["power"] = looks.state_of(each["power"], each, client.now)
    show_items(("vmid", "hostname", "node", "template", "lifecycle", "power", "address", "id"), items)
    for words in outages:
        complain(words)
    return 0


async def _show(given: argparse.Namespace) -> int:
    async with connect(given) as client:
        found = await client.get(f"/containers/{await find_container(client, given.container)}")
    names = ("hostname", "vmid", "cluster", "node", "template", "lifecycle", "address", "job", "id")
    rows = [(name, found.get(name)) for name in names]
    rows.insert(6, ("power", looks.state_of(found["power"], found, client.now)))
    live = looks.is_live(found)
    for each in found["services"]:
        if not each.get("is_system"):
            where = each.get("url") if live else "not reachable: it does not run now"
            rows.append((f"service {each['name']}", where or f"port {each.get('port') or 'unknown'}"))
    for key, change in (found.get("pending") or {}).items():
        words = f"{change.get('now') or 'not set'} -> {change.get('after_restart') or 'not set'}"
        rows.append((f"after a restart: {key}", words))
    rows += [("warning", words) for words in found["warnings"]]
    show_rows(Console(), ("what", "value"), rows)
    if outage := found.get("outage"):
        complain(looks.told(found["hostname"], outage))
    return 0


async def _jobs(given: argparse.Namespace) -> int:
    async with connect(given) as client:
        items = await client.first("/jobs", given.limit)
    show_items(("kind", "hostname", "state", "phase", "percent", "created_at", "id"), items)
    return 0


async def _create(given: argparse.Namespace) -> int:
    variables = dict(each.partition("=")[::2] for each in given.set)
    body = {"template": given.template, "hostname": given.hostname, "variables": variables}
    async with connect(given) as client:
        if given.plan:
            return planning.show_plan(Console(), await client.post("/containers", body, plan="true"))
        accepted = await client.post("/containers", body)
        return 0 if await follow_job(client, accepted["job"]["id"], Console()) else 1


async def _follow(given: argparse.Namespace) -> int:
    async with connect(given) as client:
        return 0 if await follow_job(client, given.job, Console()) else 1


async def _delete(given: argparse.Namespace) -> int:
    console = Console()
    async with connect(given) as client:
        path = f"/containers/{await find_container(client, given.container)}"
        ask = partial(client.delete, path, **({"cancel": "true"} if given.cancel else {}))
        if given.plan:
            return planning.show_plan(console, await ask(plan="true"))
        losses = planning.shows_losses(console, ask)
        if not await confirming.is_confirmed(given, f"delete {given.container}", losses):
            return 1
        is_done = await follow_job(client, (await ask())["job"]["id"], console)
        # A creation that was cancelled has not succeeded, yet what was wished for is done.
        gone = given.cancel and (await client.get(path))["lifecycle"] == "deleted"
        return 0 if is_done or gone else 1


async def _stored(given: argparse.Namespace) -> int:
    columns = ("name", "at", "parent", "description")
    if given.command == "backups":
        columns = ("volume", "at", "size_bytes", "notes")
    async with connect(given) as client:
        container = await find_container(client, given.container)
        found = await client.get(f"/containers/{container}/{given.command}")
    show_items(columns, found["items"])
    for storage in found.get("unread", ()):
        complain(f"Storage {storage} is not active now; its backups are not listed.")
    return 0


async def _forget(given: argparse.Namespace) -> int:
    async with connect(given) as client:
        container = await find_container(client, given.container)
        found = await client.post(f"/containers/{container}/forget")
    words = f"{found['hostname']} ({found['vmid']}) is forgotten; its name and VMID are free here."
    tell(Console(), words)
    return 0


async def _retry(given: argparse.Namespace) -> int:
    console = Console()
    path, body = f"/jobs/{given.job}/retry", {"phase": given.phase} if given.phase else {}
    async with connect(given) as client:
        job = await client.get(f"/jobs/{given.job}")
        kind = job.get("items_kind") or job["kind"]
        if given.plan or confirming.destroys(kind):
            plan = await client.post(path, body, plan="true")
            status = planning.show_plan(console, plan)
            if given.plan:
                return status
            if not await confirming.is_confirmed(given, f"retry of {kind}"):
                return 1
            body |= {"plan": plan["hash"]} if "items" in plan else {}
        accepted = await client.post(path, body)
        return 0 if await follow_job(client, accepted["job"]["id"], console) else 1


def _count(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
