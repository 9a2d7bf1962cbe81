"""The client's verbs: what one can do to a running Slipway from a terminal."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from slipway.cli import bulk, planning
from slipway.cli.changes import find_container
from slipway.cli.following import connect, follow_job


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add all of them."""
    _add(commands, "templates", _templates, "list what containers can be created from")
    _add(commands, "containers", _containers, "list containers")
    bulk.add_to(_add(commands, "jobs", _jobs, "list jobs, newest first; `jobs run` does the same with many"))
    creating = _add(commands, "create", _create, "create a container and follow its job")
    creating.add_argument("template")
    creating.add_argument("hostname")
    creating.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a template's variable"
    )
    planning.add_to(creating)
    for name in ("logs", "follow"):
        _add(commands, name, _follow, "show a job's story from its start, to its end").add_argument("job")
    deleting = _add(commands, "delete", _delete, "delete a container, by id, hostname or VMID")
    deleting.add_argument("container")
    deleting.add_argument(
        "--cancel", action="store_true", help="if it is being created: end that, and remove what was made"
    )
    planning.add_to(deleting)
    for name, kept in (("snapshots", "a container's snapshots"), ("backups", "the backups of a container")):
        _add(commands, name, _kept, f"list {kept}").add_argument("container")
    forgetting = "drop the record of a container whose host is gone; it is back once it is seen there"
    _add(commands, "forget", _forget, forgetting).add_argument("container")
    _add(commands, "retry", _retry, "do a failed job again, from where it failed").add_argument("job")


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
    table = Table("name", "version", "description")
    for each in items:
        manifest = each.get("manifest") or each
        table.add_row(each["name"], str(manifest.get("version")), str(manifest.get("description")))
    Console().print(table)
    return 0


async def _containers(given: argparse.Namespace) -> int:
    async with connect(given) as client:
        items = await client.items("/containers")
    names = ("vmid", "hostname", "node", "template", "lifecycle", "power", "address", "id")
    Console().print(_table(names, items))
    return 0


async def _jobs(given: argparse.Namespace) -> int:
    async with connect(given) as client:
        items = await client.items("/jobs")
    Console().print(_table(("kind", "hostname", "state", "phase", "percent", "created_at", "id"), items))
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
    async with connect(given) as client:
        path = f"/containers/{await find_container(client, given.container)}"
        if given.plan:
            return planning.show_plan(Console(), await client.delete(path, plan="true"))
        accepted = await client.delete(path, **({"cancel": "true"} if given.cancel else {}))
        is_done = await follow_job(client, accepted["job"]["id"], Console())
        # A creation that was cancelled has not succeeded, yet what was wished for is done.
        gone = given.cancel and (await client.get(path))["lifecycle"] == "deleted"
        return 0 if is_done or gone else 1


async def _kept(given: argparse.Namespace) -> int:
    columns = ("name", "at", "parent", "description")
    if given.command == "backups":
        columns = ("volume", "at", "size_bytes", "notes")
    async with connect(given) as client:
        container = await find_container(client, given.container)
        found = await client.get(f"/containers/{container}/{given.command}")
    Console().print(_table(columns, found["items"]))
    for storage in found.get("unread", ()):
        Console(stderr=True).print(f"Storage {storage} is not active now; its backups are not listed.")
    return 0


async def _forget(given: argparse.Namespace) -> int:
    async with connect(given) as client:
        container = await find_container(client, given.container)
        found = await client.post(f"/containers/{container}/forget")
    Console().print(f"{found['hostname']} ({found['vmid']}) is forgotten; its name and VMID are free here.")
    return 0


async def _retry(given: argparse.Namespace) -> int:
    async with connect(given) as client:
        accepted = await client.post(f"/jobs/{given.job}/retry")
        return 0 if await follow_job(client, accepted["job"]["id"], Console()) else 1


def _table(names: tuple[str, ...], items: list[dict[str, Any]]) -> Table:
    table = Table(*names)
    for each in items:
        table.add_row(*("" if each.get(name) is None else str(each[name]) for name in names))
    return table
