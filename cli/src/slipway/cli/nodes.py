"""`slipway node`: the nodes of all clusters, and their maintenance."""

from typing import Annotated
from urllib.parse import quote

import typer

from slipway.cli.clusters import NODE_COLUMNS, cluster_path, node_rows
from slipway.cli.errors import CommandFailed
from slipway.cli.session import Session, command
from slipway.client.transport import Transport

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
        name = await _cluster_of(client, node, cluster)
        await client.put(_maintenance_path(name, node))
    session.report(
        f"Node {node} of cluster {name} is in maintenance; "
        f"`slipway node resume {node} --cluster {name}` ends it."
    )


@command(app, "resume", "end a node's maintenance")
async def _resume(session: Session, node: NodeArgument, *, cluster: ClusterOption = None) -> None:
    async with session.connect() as client:
        name = await _cluster_of(client, node, cluster)
        await client.delete(_maintenance_path(name, node))
    session.report(f"Node {node} of cluster {name} takes jobs again.")


async def _cluster_of(client: Transport, node: str, cluster: str | None) -> str:
    """Return the cluster that is named, or else the only one with such a node."""
    if cluster is not None:
        return cluster
    clusters = await client.items("/clusters")
    names = [str(each["name"]) for each in clusters if node in {one["node"] for one in each["nodes"]}]
    if len(names) != 1:
        places = ", ".join(names) or "none"
        raise CommandFailed(f"Node {node!r} is in these clusters: {places}. Name one with --cluster.")
    return names[0]


def _maintenance_path(cluster: str, node: str) -> str:
    return f"{cluster_path(cluster)}/nodes/{quote(node, safe='')}/maintenance"
