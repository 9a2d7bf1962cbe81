"""`slipway audit`: who did what to what."""

from typing import Annotated

import typer

from slipway.cli.session import Session, command

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="read the audit log")


@command(app, "list", "list the audit entries, newest first")
async def _list(
    session: Session, *, limit: Annotated[int, typer.Option("--limit", min=1, help="how many")] = 100
) -> None:
    async with session.connect() as client:
        items = await client.items("/audit", limit)
    session.print_list(
        items,
        ("at", "actor", "action", "target", "outcome"),
        name="id",
        wide=("correlation_id", "details", "id"),
    )
