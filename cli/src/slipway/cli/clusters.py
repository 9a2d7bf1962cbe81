"""`slipway cluster`: what clusters there are and how they are, and how one is removed from Slipway."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from slipway.cli import cluster_facts, cluster_settings, freshness
from slipway.cli.confirmation import is_confirmed
from slipway.cli.errors import WrongInput
from slipway.cli.formats import print_document
from slipway.cli.session import PlanOption, Session, YesOption, command
from slipway.cli.terminal import say, warn

SSH_PORT = 22
NODE_COLUMNS = ("cluster", "node", "state", "cores", "free for disks", "version")
ClusterArgument = Annotated[str, typer.Argument(help="name or id", show_default=False)]

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="connect, list, show, set up and remove clusters"
)
app.add_typer(cluster_settings.limits, name="limits")
app.add_typer(cluster_settings.defaults, name="defaults")


def cluster_path(cluster: str) -> str:
    """Return the API's path of a cluster."""
    return f"/clusters/{quote(cluster, safe='')}"


def port_option(port: int) -> str:
    """Return what `ssh` needs before the login to get to a port; nothing if that is its own one."""
    return "" if port == SSH_PORT else f"-p {port} "


def node_rows(cluster: Mapping[str, Any], now: datetime) -> list[dict[str, Any]]:
    """Return the nodes of a cluster with what a table shows of them."""
    return [
        {
            **node,
            "cluster": cluster["name"],
            "state": freshness.state_of("online" if node["is_online"] else "offline", node, now),
            "free for disks": _free(node),
            "version": cluster["version"],
            "maintenance": "yes" if node["node"] in cluster["in_maintenance"] else "",
        }
        for node in cluster["nodes"]
    ]


@command(app, "list", "list clusters and their nodes, with what is wrong and what to do about it")
async def _list(session: Session) -> None:
    async with session.connect() as client:
        clusters = await client.items("/clusters")
    if session.form.is_whole or session.form == "name":
        session.print_list(clusters, (), name="name")
    else:
        rows = [row for cluster in clusters for row in node_rows(cluster, client.now)]
        session.print_list(rows, NODE_COLUMNS, name="node", wide=("address", "maintenance"))
    for outage in freshness.outages_of(clusters):
        warn(outage)
    for cluster in clusters:
        if failed := ", ".join(cluster["failed_checks"]):
            warn(f"Cluster {cluster['name']} failed checks when it was last tested: {failed}.")


@command(app, "show", "show a cluster: how it is reached, its nodes, and what is wrong")
async def _show(session: Session, cluster: ClusterArgument) -> None:
    async with session.connect() as client:
        item = await client.get(cluster_path(cluster))
    fields = ("name", "id", "tier", "endpoint", "token_id", "tls_fingerprint", "version", "created_at")
    rows: list[tuple[str, object]] = [(field, item.get(field)) for field in fields]
    if item["failed_checks"]:
        rows.append(("failed checks", ", ".join(item["failed_checks"])))
    rows += [
        (f"node {row['node']}", f"{row['state']}; {row['free for disks']}")
        for row in node_rows(item, client.now)
    ]
    session.print_one(item, rows, name="name")
    for outage in freshness.outages_of([item]):
        warn(outage)


@command(app, "vmid-range", "set the VMIDs that Slipway chooses from; containers that exist keep theirs")
async def _set_vmid_range(
    session: Session,
    cluster: ClusterArgument,
    vmids: Annotated[str, typer.Argument(help="200-299, or all", show_default=False)],
) -> None:
    path = f"{cluster_path(cluster)}/vmid-range"
    first, _, last = vmids.partition("-")
    if vmids != "all" and not (first.isdecimal() and last.isdecimal()):
        raise WrongInput(f"{vmids!r} is no range of VMIDs: write it like 200-299, or all.")
    async with session.connect() as client:
        if vmids == "all":
            item = await client.delete(path)
        else:
            item = await client.put(path, {"first": int(first), "last": int(last)})
    if session.form.is_whole:
        print_document(item, session.form)
    session.report(
        f"Slipway chooses {'any free VMID' if vmids == 'all' else vmids} in {item['name']} from now on."
    )


@command(
    app,
    "remove",
    "remove a cluster from Slipway; its hosts are not touched, and adding it again brings all back",
)
async def _remove(
    session: Session, cluster: ClusterArgument, *, plan: PlanOption = False, yes: YesOption = False
) -> int:
    async with session.connect() as client:
        removal = await client.delete(cluster_path(cluster), plan="true")
        if plan:
            _print_removal(session, removal)
            return 0
        what = f"remove cluster {removal['name']} with {len(removal['containers'])} containers"
        if not await is_confirmed(what, yes=yes):
            return 1
        removal = await client.delete(cluster_path(cluster))
    if session.form.is_whole:
        print_document(removal, session.form)
    count = len(removal["containers"])
    session.report(
        f"Cluster {removal['name']} is removed; {count} containers are forgotten, and go on as they are."
    )
    session.report(_what_stays(removal))
    return 0


cluster_facts.add_commands(app)


def _print_removal(session: Session, removal: Mapping[str, Any]) -> None:
    if session.form.is_whole:
        print_document(removal, session.form)
        return
    nodes = ", ".join(removal["nodes"]) or "none"
    say(f"Cluster {removal['name']}, nodes: {nodes}. These would be forgotten, and go on running:")
    session.print_list(removal["containers"], ("vmid", "hostname", "node", "id"), name="hostname")
    session.report(_what_stays(removal))


def _what_stays(removal: Mapping[str, Any]) -> str:
    """Say that Proxmox was left as it is, and how Slipway's access there is taken away."""
    made_as = removal["access_id"]
    if made_as is None:
        return "The access on Proxmox stays: Slipway's script has not made it; remove it where it was made."
    login = f"{port_option(removal['ssh_port'])}root@{removal['address']}"
    return (
        f"The access on Proxmox stays: the user slipway-{made_as}@pve, its token, roles and SSH key. This "
        f"removes it: slipway cluster script --remove {made_as} | ssh {login} sh -s"
    )


def _free(node: Mapping[str, Any]) -> str:
    storages = [each for each in node["storages"] if "rootdir" in each["content"] and each["is_active"]]
    return ", ".join(f"{each['name']} {_amount(each['free_bytes'])}" for each in storages)


def _amount(free_bytes: int | None) -> str:
    return "unknown" if free_bytes is None else f"{free_bytes >> 30} GiB"
