"""`slipway cluster limits`: what containers of a cluster may use of its hosts."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from slipway.cli.session import Session, command

ClusterArgument = Annotated[str, typer.Argument(help="name or id", show_default=False)]
RestrictedOption = Annotated[
    bool | None,
    typer.Option(
        "--restricted-keys/--no-restricted-keys",
        help="whether containers may have bind mounts, devices, hookscripts and the features mknod, mount, "
        "force_rw_sys: each can amount to root on the host",
        show_default=False,
    ),
]
MountPathOption = Annotated[
    list[str] | None,
    typer.Option(
        "--mount-path",
        metavar="PATH",
        help="a host path below which bind mounts may begin; repeat it: these take the place of all others",
    ),
]

limits = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="what containers may use of the hosts: show, set"
)


@command(limits, "show", "show what containers of a cluster may use of its hosts")
async def _show_limits(session: Session, cluster: ClusterArgument) -> None:
    async with session.connect() as client:
        _print_limits(session, await client.get(_limits_path(cluster)))


@command(limits, "set", "set what containers of a cluster may use of its hosts; what is not given stays")
async def _set_limits(
    session: Session,
    cluster: ClusterArgument,
    *,
    restricted_keys: RestrictedOption = None,
    mount_path: MountPathOption = None,
) -> None:
    async with session.connect() as client:
        body = await client.get(_limits_path(cluster))
        if restricted_keys is not None:
            body["restricted_keys"] = restricted_keys
        if mount_path is not None or restricted_keys is False:
            body["mount_paths"] = mount_path or []
        _print_limits(session, await client.put(_limits_path(cluster), body))


def _print_limits(session: Session, limits: Mapping[str, Any]) -> None:
    rows = (
        ("restricted keys", "allowed" if limits["restricted_keys"] else "refused"),
        ("mount paths", ", ".join(limits["mount_paths"]) or "none"),
    )
    session.print_one(limits, rows, name="restricted_keys")


def _limits_path(cluster: str) -> str:
    return f"/clusters/{quote(cluster, safe='')}/limits"
