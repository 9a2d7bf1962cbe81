"""`slipway container`: list, show, create, delete; the verbs that change one come from `changes`."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from slipway.cli import freshness
from slipway.cli.changes import commands, perform
from slipway.cli.formats import Format, in_one_line
from slipway.cli.lookup import ContainerArgument, container_id, with_own_names
from slipway.cli.plans import print_plan
from slipway.cli.session import ConfirmSelfOption, FollowOption, PlanOption, Session, YesOption, command
from slipway.cli.terminal import put, say, warn

COLUMNS = ("vmid", "hostname", "node", "template", "lifecycle", "power", "address", "id")
WIDE = ("cluster", "template_version", "job", "created_at", "updated_at")
QueryArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[QUERY]...", help="like tag:web node:pve1 status:running shop", show_default=False
    ),
]


class Containers(TyperGroup):
    """The verbs of a container; those of the job kinds are built on demand."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Find a verb."""
        return super().get_command(ctx, cmd_name) or commands().get(cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        """List the verbs."""
        return [*super().list_commands(ctx), *commands()]


app = typer.Typer(
    cls=Containers, rich_markup_mode=None, no_args_is_help=True, help="list, create and change containers"
)


@command(app, "list", "list containers, or those that fit a search")
async def _list(session: Session, query: QueryArgument = None) -> None:
    await _print_containers(session, query)


@command(app, "ps", "list the containers that run, or those of them that fit a search")
async def _running(session: Session, query: QueryArgument = None) -> None:
    await _print_containers(session, query, power="running")


async def _print_containers(session: Session, query: Sequence[str] | None, **filters: str) -> None:
    if query:
        filters["q"] = " ".join(query)
    async with session.connect() as client:
        view = "full" if session.form.is_whole else "summary"
        items = await client.items("/containers", **filters, view=view)
        clusters = await client.items("/clusters")
    outages = [*freshness.outages_of(clusters)]
    # Names and VMIDs repeat from cluster to cluster.
    columns, wide = (COLUMNS, WIDE) if len(clusters) < 2 else (("cluster", *COLUMNS), WIDE[1:])  # noqa: PLR2004
    session.print_list(
        with_own_names(items) if session.form is Format.NAME else items,
        columns,
        name="hostname",
        wide=wide,
        cells=lambda item: {"power": freshness.state_of(item["power"], item, client.now)},
    )
    for outage in outages:
        warn(outage)


@command(app, "show", "show a container: its state, services and waiting changes")
async def _show(session: Session, container: ContainerArgument) -> None:
    async with session.connect() as client:
        item = await client.get(f"/containers/{await container_id(client, container)}")
    fields = ("hostname", "vmid", "cluster", "node", "template", "lifecycle", "address", "job", "id")
    rows: list[tuple[str, object]] = [(field, item.get(field)) for field in fields]
    rows.insert(6, ("power", freshness.state_of(item["power"], item, client.now)))
    is_live = freshness.is_live(item)
    for service in item["services"]:
        if not service.get("is_system"):
            url = service.get("url") if is_live else "not reachable: the container does not run now"
            rows.append((f"service {service['name']}", url or f"port {service.get('port') or 'unknown'}"))
    rows += [
        (f"credential {each['name']}", f"slipway reveal {item['hostname']}") for each in item["credentials"]
    ]
    for key, change in (item.get("pending") or {}).items():
        text = f"{change.get('now') or 'not set'} -> {change.get('after_restart') or 'not set'}"
        rows.append((f"after a restart: {key}", text))
    rows += [("warning", warning) for warning in item["warnings"]]
    session.print_one(item, rows, name="hostname")
    if outage := item.get("outage"):
        warn(freshness.sentence(item["hostname"], outage))


@command(app, "create", "create a container and follow its job")
async def _create(
    session: Session,
    template: Annotated[
        str,
        typer.Argument(
            help="as `slipway templates` lists it; memory, disk and cores are those that it names, and "
            "`slipway resize` changes them later",
            show_default=False,
        ),
    ],
    hostname: Annotated[
        str, typer.Argument(help="of the container: what you and Slipway call it", show_default=False)
    ],
    *,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a template's variable")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="name or id; needed if there are several")
    ] = None,
    node: Annotated[str | None, typer.Option("--node", help="by default one that has room")] = None,
    vmid: Annotated[
        int | None, typer.Option("--vmid", help="by default a free one of the cluster's range")
    ] = None,
    pool: Annotated[
        str | None, typer.Option("--pool", help="of Proxmox VE, which the container joins")
    ] = None,
    plan: PlanOption = False,
    follow: FollowOption = True,
) -> int:
    variables = dict(each.partition("=")[::2] for each in set_ or ())
    given = (("cluster", cluster), ("node", node), ("vmid", vmid), ("pool", pool))
    place = {name: value for name, value in given if value is not None}
    body = {"template": template, "hostname": hostname, "variables": variables, **place}
    async with session.connect() as client:
        if plan:
            return print_plan(session, await client.post("/containers", body, plan="true"))
        accepted = await client.post("/containers", body)
        if not follow:
            job = accepted["job"]["id"]
            warn(f"`slipway follow {job}` ends with its URLs and how its passwords are shown.")
        return await session.finish(client, accepted, follow=follow)


@command(app, "reveal", "show a container's passwords in clear; the server audits it")
async def _reveal(
    session: Session,
    container: ContainerArgument,
    name: Annotated[
        str | None, typer.Argument(help="of one, like root/password; all without it", show_default=False)
    ] = None,
) -> int:
    async with session.connect() as client:
        path = f"/containers/{await container_id(client, container)}"
        credentials = (await client.get(path))["credentials"]
        chosen = [each for each in credentials if name in {None, each["name"], each["id"]}]
        items = [await client.post(f"{path}/credentials/{each['id']}/reveal") for each in chosen]
    if session.form is Format.NAME and not sys.stdout.isatty():
        # A program reads it: nothing is taken from it.
        put("".join(f"{item['value']}\n" for item in items))
    else:
        session.print_list(items, ("name", "value"), name="value", wide=("id",), cells=_value_cell)
    if not items:
        names = ", ".join(each["name"] for each in credentials) or "none"
        warn(f"slipway: {container} has no credential {name or ''}".rstrip() + f". It has: {names}.")
    return 0 if items else 1


def _value_cell(credential: Mapping[str, Any]) -> Mapping[str, object]:
    return {"value": in_one_line(credential["value"])}


@command(app, "delete", "delete a container, by id, hostname or VMID")
async def _delete(
    session: Session,
    container: ContainerArgument,
    *,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="if it is being created: end that, and remove what was made")
    ] = False,
    plan: PlanOption = False,
    yes: YesOption = False,
    confirm_self: ConfirmSelfOption = False,
    follow: FollowOption = True,
) -> int:
    async with session.connect() as client:
        if confirm_self:
            client.confirm_self()
        path = f"/containers/{await container_id(client, container)}"
        request = partial(client.delete, path, **({"cancel": "true"} if cancel else {}))
        what = f"delete {container}"
        status = await perform(session, client, request, loses=what, plan=plan, yes=yes, follow=follow)
        # A creation that was cancelled has not succeeded, yet the container is gone, as requested.
        if status and cancel and not plan:
            return 0 if (await client.get(path))["lifecycle"] == "deleted" else status
        return status


@command(app, "snapshots", "list a container's snapshots")
async def _snapshots(session: Session, container: ContainerArgument) -> None:
    await _print_stored(session, container, "snapshots", ("name", "at", "parent", "description"))


@command(app, "backups", "list the backups of a container")
async def _backups(session: Session, container: ContainerArgument) -> None:
    await _print_stored(session, container, "backups", ("volume", "at", "size_bytes", "notes"))


async def _print_stored(session: Session, container: str, what: str, columns: tuple[str, ...]) -> None:
    async with session.connect() as client:
        page = await client.get(f"/containers/{await container_id(client, container)}/{what}")
    session.print_list(page["items"], columns, name=columns[0])
    for storage in page.get("unread", ()):
        warn(f"Storage {storage} is not active now; its backups are not listed.")


@command(app, "forget", "drop the record of a container whose host is gone; it returns when it is seen there")
async def _forget(session: Session, container: ContainerArgument) -> None:
    async with session.connect() as client:
        path = f"/containers/{await container_id(client, container)}"
        item: Mapping[str, Any] = await client.post(f"{path}/forget")
    if session.form in {Format.TABLE, Format.WIDE}:
        say(f"{item['hostname']} ({item['vmid']}) is forgotten; its name and VMID are free here.")
    else:
        session.print_one(item, (), name="hostname")
