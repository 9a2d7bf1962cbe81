"""`slipway template`: what containers can be created from."""

from typing import Annotated
from urllib.parse import quote

import typer

from slipway.cli.formats import print_document
from slipway.cli.session import Session, command
from slipway.cli.terminal import warn

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="list and show templates")


@command(app, "list", "list what containers can be created from, and the templates that can't be used")
async def _list(session: Session) -> None:
    async with session.connect() as client:
        page = await client.get("/templates", limit=1000)
    items, faults = page["items"], page["faults"]
    if session.form.is_whole:
        print_document({"items": items, "faults": faults, "next": page["next"]}, session.form)
        return
    session.print_list(
        items,
        ("name", "version", "description"),
        name="name",
        wide=("ostemplate", "tags"),
        cells=lambda item: item.get("manifest") or item,
    )
    for fault in faults:
        warn(f"Template {fault['folder']} can't be used: {fault['message']}")


@command(app, "show", "show a template: its variables, resources and ports")
async def _show(
    session: Session, template: Annotated[str, typer.Argument(help="its name", show_default=False)]
) -> None:
    async with session.connect() as client:
        item = await client.get(f"/templates/{quote(template, safe='')}")
    manifest = item["manifest"]
    rows = [(field, manifest[field]) for field in ("name", "version", "description", "ostemplate")]
    rows += [(f"resource {name}", value) for name, value in manifest["resources"].items()]
    for variable in manifest["variables"]:
        need = "required" if variable["is_required"] else f"default {variable['default']!r}"
        rows.append((f"variable {variable['name']}", f"{need}: {variable['description']}"))
    rows += [(f"port {port['port']}", port["name"]) for port in manifest["ports"]]
    session.print_one(item, rows, name="name")
