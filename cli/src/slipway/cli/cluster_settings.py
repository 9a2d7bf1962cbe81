"""`slipway cluster limits` and `defaults`: what an admin sets for a cluster."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from slipway.cli.errors import WrongInput
from slipway.cli.formats import in_one_line
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
defaults = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="what new containers have where their requests say nothing: show, set, unset",
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


@command(defaults, "show", "show what new containers have where their requests say nothing")
async def _show_defaults(session: Session, cluster: ClusterArgument) -> None:
    async with session.connect() as client:
        _print_defaults(session, await client.get(_defaults_path(cluster)))


@command(defaults, "set", "set what new containers have where their requests say nothing; other values stay")
async def _set_defaults(
    session: Session,
    cluster: ClusterArgument,
    *,
    storage: Annotated[str | None, typer.Option(help="of the root disk", show_default=False)] = None,
    bridge: Annotated[
        str | None, typer.Option(help="of network devices that name none", show_default=False)
    ] = None,
    vlan: Annotated[int | None, typer.Option(help="its VLAN tag, 1 to 4094", show_default=False)] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="beside those of template and request; repeat it: these are all")
    ] = None,
    ssh_keys_file: Annotated[
        Path | None, typer.Option(help="root's public keys, like authorized_keys", show_default=False)
    ] = None,
    nameserver: Annotated[
        str | None, typer.Option(help="addresses of DNS servers, separated by blanks", show_default=False)
    ] = None,
    searchdomain: Annotated[
        str | None, typer.Option(help="search domains, separated by blanks", show_default=False)
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="Europe/Berlin, or host", show_default=False)] = None,
    http_proxy: Annotated[str | None, typer.Option(help="http://proxy.lan:3128", show_default=False)] = None,
    no_proxy: Annotated[
        str | None,
        typer.Option(help="what is reached without the proxy, separated by commas", show_default=False),
    ] = None,
    apt_mirror: Annotated[
        str | None,
        typer.Option(
            help="http://mirror.lan, with debian, debian-security and ubuntu below it", show_default=False
        ),
    ] = None,
    apt_cache: Annotated[
        str | None, typer.Option(help="a proxy for apt alone: http://cache.lan:3142", show_default=False)
    ] = None,
    apk_mirror: Annotated[
        str | None, typer.Option(help="http://mirror.lan/alpine", show_default=False)
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="PEM certificates that guests shall trust", show_default=False)
    ] = None,
    outgoing_blocked: Annotated[
        bool | None,
        typer.Option(
            "--outgoing-blocked/--no-outgoing-blocked",
            help="whether nodes and guests reach nothing outside: what can't work then is refused beforehand",
            show_default=False,
        ),
    ] = None,
) -> None:
    given = {
        "storage": storage,
        "bridge": bridge,
        "vlan": vlan,
        "tags": tag,
        "ssh_public_keys": _content(ssh_keys_file),
        "nameserver": nameserver,
        "searchdomain": searchdomain,
        "timezone": timezone,
        "http_proxy": http_proxy,
        "no_proxy": no_proxy,
        "apt_mirror": apt_mirror,
        "apt_cache": apt_cache,
        "apk_mirror": apk_mirror,
        "ca": _content(ca_file),
        "is_outgoing_blocked": outgoing_blocked,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise WrongInput("Nothing to set: give at least one of its options.")
    await _change_defaults(session, cluster, changes)


@command(defaults, "unset", "take values away: Slipway chooses again; `all` takes away all of them")
async def _unset_defaults(
    session: Session,
    cluster: ClusterArgument,
    names: Annotated[list[str], typer.Argument(help="as `show` names them, or all", show_default=False)],
) -> None:
    if names == ["all"]:
        async with session.connect() as client:
            _print_defaults(session, await client.delete(_defaults_path(cluster)))
        return
    await _change_defaults(session, cluster, {name.replace("-", "_"): None for name in names})


async def _change_defaults(session: Session, cluster: str, changes: Mapping[str, object]) -> None:
    async with session.connect() as client:
        path = _defaults_path(cluster)
        before = await client.get(path)
        if unknown := sorted(set(changes) - set(before)):
            raise WrongInput(f"There is no {unknown[0]!r}; there are: {', '.join(sorted(before))}, or all.")
        body = {name: value for name, value in (before | dict(changes)).items() if value is not None}
        _print_defaults(session, await client.put(path, body))


def _print_defaults(session: Session, site: Mapping[str, Any]) -> None:
    rows = [
        (name, " ".join(map(str, value)) if isinstance(value, list) else in_one_line(str(value)))
        for name, value in site.items()
        if value
    ]
    session.print_one(site, rows or [("none", "Slipway chooses everything itself")], name="storage")


def _content(path: Path | None) -> str | None:
    try:
        return None if path is None else path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongInput(f"{path} can't be read: {error}.") from error


def _defaults_path(cluster: str) -> str:
    return f"/clusters/{quote(cluster, safe='')}/defaults"


def _limits_path(cluster: str) -> str:
    return f"/clusters/{quote(cluster, safe='')}/limits"
