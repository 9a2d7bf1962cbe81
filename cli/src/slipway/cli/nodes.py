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
        await client.put(await _maintenance_path(client, node, cluster))
    session.report(f"Node {node} is in maintenance; `slipway node resume {node}` ends it.")


@command(app, "resume", "end a node's maintenance")
async def _resume(session: Session, node: NodeArgument, *, cluster: ClusterOption = None) -> None:
    async with session.connect() as client:
        await client.delete(await _maintenance_path(client, node, cluster))
    session.report(f"Node {node} takes jobs again.")


async def _maintenance_path(client: Transport, node: str, cluster: str | None) -> str:
    """Return the path of a node's maintenance; find its cluster if none is named."""
    if cluster is None:
        clusters = await client.items("/clusters")
        names = [each["name"] for each in clusters if node in {one["node"] for one in each["nodes"]}]
        if len(names) != 1:
            places = ", ".join(names) or "none"
            raise CommandFailed(f"Node {node!r} is in these clusters: {places}. Name one with --cluster.")
        cluster = names[0]
    return f"{cluster_path(cluster)}/nodes/{quote(node, safe='')}/maintenance"
