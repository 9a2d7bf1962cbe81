"""`slipway os-template`: the archives that containers are made from, there and to be downloaded."""

from typing import Annotated

import typer

from slipway.cli.cluster_facts import amount, facts_path
from slipway.cli.errors import CommandFailed
from slipway.cli.session import FollowOption, Session, command
from slipway.client.transport import Transport

ClusterOption = Annotated[
    str | None, typer.Option("--cluster", help="name or id; needed if there are several")
]
NodeOption = Annotated[str | None, typer.Option("--node", help="the node that downloads it")]
StorageOption = Annotated[
    str | None, typer.Option("--storage", help="where it goes; by default where most is free")
]
TemplateArgument = Annotated[
    str,
    typer.Argument(help="an archive, or the beginning of its name: then the newest", show_default=False),
]
DownloadableOption = Annotated[
    bool, typer.Option("--downloadable", help="list what the nodes can download instead")
]

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="list OS templates, and download them to a node"
)


@command(app, "list", "list the OS templates on the nodes, or those that they can download")
async def _list(
    session: Session, *, cluster: ClusterOption = None, downloadable: DownloadableOption = False
) -> None:
    async with session.connect() as client:
        names = [cluster] if cluster else [str(each["name"]) for each in await client.items("/clusters")]
        facts = [await client.get(facts_path(name, "facts")) for name in names]
    field = "downloadable" if downloadable else "os_templates"
    rows = [
        {**row, "cluster": each["name"], "node": node["node"], "size": amount(row.get("size_bytes"))}
        for each in facts
        for node in each["nodes"]
        for row in node[field]
    ]
    shown = ("name", "is_there") if downloadable else ("volume", "size")
    session.print_list(
        rows,
        ("cluster", "node", *shown),
        name=shown[0],
        wide=("package", "version", "architecture"),
    )


@command(app, "download", "download an OS template to a storage of a node")
async def _download(
    session: Session,
    template: TemplateArgument,
    *,
    cluster: ClusterOption = None,
    node: NodeOption = None,
    storage: StorageOption = None,
    follow: FollowOption = True,
) -> int:
    body = {"template": template, "node": node, "storage": storage}
    async with session.connect() as client:
        name = cluster or await _only_cluster(client, node)
        accepted = await client.post(facts_path(name, "os-templates"), body)
        return await session.finish(client, accepted, follow=follow)


async def _only_cluster(client: Transport, node: str | None) -> str:
    """Return the only cluster, or the only one with a node."""
    clusters = await client.items("/clusters")
    names = [
        str(each["name"])
        for each in clusters
        if node is None or node in {one["node"] for one in each["nodes"]}
    ]
    if len(names) != 1:
        places = ", ".join(names) or "none"
        what = f"Node {node!r} is in these clusters" if node else "There are these clusters"
        raise CommandFailed(f"{what}: {places}. Name one with --cluster.")
    return names[0]
