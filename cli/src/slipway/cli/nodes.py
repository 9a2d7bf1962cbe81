"""`slipway node`: the nodes of all clusters, and their maintenance."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from slipway.cli.clusters import NODE_COLUMNS, cluster_path, node_rows
from slipway.cli.errors import CommandFailed
from slipway.cli.session import Session, command

NodeArgument = Annotated[str, typer.Argument(help="its name", show_default=False)]
ClusterOption = Annotated[
    str | None, typer.Option("--cluster", help="name or id; needed if several clusters have such a node")
]

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="list nodes, and switch their maintenance"
)


@command(app, "list", "list the nodes of all clusters")
async def _list(session: Session) -> None:
    async with session.connect() as client:
        clusters = await client.items("/clusters")
    if session.form.is_whole:
        nodes = [node for cluster in clusters for node in cluster["nodes"]]
    else:
        nodes = [row for cluster in clusters for row in node_rows(cluster, client.now)]
    columns = (*NODE_COLUMNS[:-1], "maintenance")
    session.print_list(nodes, columns, name="node", wide=("address", "version", "ssh_problem"))


@command(app, "drain", "begin a node's maintenance: no new job starts there, and what runs goes on")
async def _drain(session: Session, node: NodeArgument, *, cluster: ClusterOption = None) -> None:
    async with session.connect() as client:
        name = cluster or cluster_with(node, await client.items("/clusters"))
        await client.put(_maintenance_path(name, node))
    session.report(
        f"Node {node} of cluster {name} is in maintenance; "
        f"`slipway node resume {node} --cluster {name}` ends it."
    )


@command(app, "resume", "end a node's maintenance")
async def _resume(session: Session, node: NodeArgument, *, cluster: ClusterOption = None) -> None:
    async with session.connect() as client:
        name = cluster or cluster_with(node, await client.items("/clusters"))
        await client.delete(_maintenance_path(name, node))
    session.report(f"Node {node} of cluster {name} takes jobs again.")


def cluster_with(node: str, clusters: Sequence[Mapping[str, Any]]) -> str:
    """Return the only cluster that has a node of this name.

    Raises:
        CommandFailed: if none has one, with the nodes that there are; or several.
    """
    names = [str(each["name"]) for each in clusters if node in {one["node"] for one in each["nodes"]}]
    if not names:
        known = sorted({str(one["node"]) for each in clusters for one in each["nodes"]})
        raise CommandFailed(f"There is no node {node!r}. Known ones: {', '.join(known) or 'none'}.")
    if len(names) > 1:
        places = ", ".join(names)
        raise CommandFailed(f"Node {node!r} is in these clusters: {places}. Name one with --cluster.")
    return names[0]


def _maintenance_path(cluster: str, node: str) -> str:
    return f"{cluster_path(cluster)}/nodes/{quote(node, safe='')}/maintenance"
