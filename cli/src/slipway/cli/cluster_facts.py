"""`slipway cluster facts`, `next-vmid` and `check`: what there is to choose from, and what is free."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from slipway.cli import freshness
from slipway.cli.formats import Format, print_document, print_table
from slipway.cli.session import Session, command
from slipway.cli.terminal import say, warn
from slipway.client.transport import Transport

ClusterArgument = Annotated[str, typer.Argument(help="name or id", show_default=False)]
RefreshOption = Annotated[
    bool, typer.Option("--refresh", help="have the nodes asked for everything anew, once a minute at most")
]
VmidOption = Annotated[str | None, typer.Option("--vmid", help="a VMID")]
NameOption = Annotated[str | None, typer.Option("--name", help="a hostname")]
AddressOption = Annotated[str | None, typer.Option("--address", help="an IP address, with its prefix or not")]
REFRESH_SECONDS = 60.0
_TABLES: Sequence[tuple[str, str, tuple[str, ...]]] = (
    ("storages", "storages", ("node", "name", "type", "content", "free", "total", "is_active")),
    ("bridges", "bridges", ("node", "name", "type", "subnets", "is_vlan_aware", "vlans", "comment")),
    ("OS templates", "os_templates", ("node", "volume", "size")),
    ("graphics cards", "gpus", ("node", "id", "name")),
    ("devices", "devices", ("node", "path", "kind", "name")),
    ("mounted folders", "folders", ("node", "path", "type", "source", "is_read_only")),
)
"""Title, field of a node, columns."""
_PART = {"folders": "devices"}
"""The part that a field belongs to, where it is called otherwise."""


def facts_path(cluster: str, what: str) -> str:
    """Return the API's path of something about a cluster."""
    from urllib.parse import quote

    return f"/clusters/{quote(cluster, safe='')}/{what}"


def add_commands(app: typer.Typer) -> None:
    """Add the commands to `slipway cluster`."""
    command(app, "facts", "show what a container in a cluster can be made with, and how old that is")(_facts)
    command(app, "next-vmid", "print the VMID that a new container would get")(_next_vmid)
    command(app, "available", "say whether a VMID, a name and an address are free; else exit 1")(_check)


async def _facts(session: Session, cluster: ClusterArgument, *, refresh: RefreshOption = False) -> None:
    async with session.connect() as client:
        if refresh:
            await _refresh(client, cluster)
        facts = await client.get(facts_path(cluster, "facts"))
    if session.form.is_whole:
        print_document(facts, session.form)
        return
    if session.form is Format.NAME:
        say(str(facts["name"]))
        return
    for title, field, columns in _TABLES:
        rows = [row for node in facts["nodes"] for row in _rows(node, field)]
        if rows:
            say(f"{title}{_age(facts['nodes'], _PART.get(field, field), client.now)}")
            print_table(columns, [[row.get(column) for column in columns] for row in rows])
    _print_of_cluster(facts)
    for node in facts["nodes"]:
        for part, reason in node["unknown"].items():
            warn(f"{part} of {node['node']} are not known for sure: {reason}")
    if facts["outage"]:
        warn(freshness.sentence(f"Cluster {facts['name']}", facts["outage"]))


async def _refresh(client: Transport, cluster: str) -> None:
    """Have the nodes asked for everything anew, and wait until those that are online have answered."""
    before = await client.get(facts_path(cluster, "facts"))
    accepted = await client.post(facts_path(cluster, "facts/refresh"))
    if not accepted["is_new"]:
        warn("They were read anew within the last minute.")
        return
    ages = {
        node["node"]: node["looked_at"].get("appliances") for node in before["nodes"] if node["is_online"]
    }
    deadline = asyncio.get_running_loop().time() + REFRESH_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        facts = await client.get(facts_path(cluster, "facts"))
        after = {node["node"]: node["looked_at"].get("appliances") for node in facts["nodes"]}
        if all(after.get(node) != age for node, age in ages.items()):
            return
        await asyncio.sleep(0.5)
    warn(f"Not all nodes have answered within {REFRESH_SECONDS:.0f} s; what is shown may be older.")


def _print_of_cluster(facts: Mapping[str, Any]) -> None:
    vmids = facts["vmids"]
    rows: list[tuple[str, object]] = [
        ("pools", ", ".join(pool["name"] for pool in facts["pools"])),
        ("vnets", ", ".join(map(_vnet, facts["vnets"]))),
        ("VMIDs", f"{vmids['first']} to {vmids['last']}"),
        ("next VMID", facts["next_vmid"] or "none is free"),
        ("downloadable OS templates", _downloadable(facts["nodes"])),
    ]
    say("cluster")
    print_table(("what", "value"), rows)


def _rows(node: Mapping[str, Any], field: str) -> Iterator[Mapping[str, object]]:
    for item in node[field]:
        lists = {name: ", ".join(value) for name, value in item.items() if isinstance(value, list)}
        sizes = {
            "free": item.get("free_bytes"), "total": item.get("total_bytes"), "size": item.get("size_bytes")
        }  # fmt: skip
        yield {**item, **lists, **{name: amount(size) for name, size in sizes.items()}, "node": node["node"]}


def _age(nodes: Sequence[Mapping[str, Any]], part: str, now: datetime) -> str:
    """Return how long ago a part was answered: the oldest of the nodes."""
    times = [node["looked_at"][part] for node in nodes if part in node["looked_at"]]
    if not times:
        return ", of unknown age"
    seconds = max(0, int((now - datetime.fromisoformat(min(times))).total_seconds()))
    return f", {seconds} s old" if seconds < 120 else f", {seconds // 60} min old"  # noqa: PLR2004  two minutes


def _vnet(vnet: Mapping[str, Any]) -> str:
    tag = f" tag {vnet['tag']}" if vnet["tag"] else ""
    return f"{vnet['name']} ({vnet['zone']}{tag})"


def _downloadable(nodes: Sequence[Mapping[str, Any]]) -> str:
    count = len({each["name"] for node in nodes for each in node["downloadable"]})
    return f"{count}; `slipway os-template list --downloadable` lists them"


def amount(size: object) -> str:
    """Return a number of bytes for people; empty if it is not known."""
    if not isinstance(size, int):
        return ""
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size >> 20} MiB"


async def _next_vmid(session: Session, cluster: ClusterArgument) -> None:
    async with session.connect() as client:
        answer = await client.get(facts_path(cluster, "vmids/next"))
    if session.form.is_whole:
        print_document(answer, session.form)
    else:
        say(str(answer["vmid"]))


async def _check(
    session: Session,
    cluster: ClusterArgument,
    *,
    vmid: VmidOption = None,
    name: NameOption = None,
    address: AddressOption = None,
) -> int:
    given = {"vmid": vmid, "hostname": name, "address": address}
    query = {field: value for field, value in given.items() if value is not None}
    async with session.connect() as client:
        answer = await client.get(facts_path(cluster, "availability"), **query)
    checks = {field: answer[field] for field in given if answer[field]}
    if session.form.is_whole:
        print_document(answer, session.form)
    else:
        columns = ("what", "value", "state", "why", "what to do")
        print_table(
            columns,
            [
                (field, each["value"], each["state"], each["message"], each["remedy"])
                for field, each in checks.items()
            ],
        )
    return 0 if all(each["state"] == "free" for each in checks.values()) else 1
