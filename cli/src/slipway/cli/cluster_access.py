"""`slipway cluster connect`, `add`, `access`, `check`: how Slipway gets into a cluster, three ways.

By root's password, which is used once; by the token script that one runs on a node; by every field by hand.
Each saves only what works, and shows the same checks. A password is read from the environment, from standard
input or in the terminal, never from the command line, where others see it.
"""

import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from slipway.cli import cluster_script
from slipway.cli.checks import checks_of_refusal, report_checks
from slipway.cli.cluster_options import (
    AcceptOption,
    ApiPortOption,
    DevicesOption,
    FingerprintOption,
    HostKeyOption,
    MountsOption,
    NameOption,
    PoolOption,
    PortOption,
    TierOption,
    VmidsOption,
)
from slipway.cli.cluster_questions import ask_for_access, ask_for_cluster, confirm_host_keys, node_of
from slipway.cli.cluster_script import left_on_node, made_id, read_printed, require_fields
from slipway.cli.clusters import ClusterArgument, app, cluster_path, port_option
from slipway.cli.errors import WrongInput
from slipway.cli.formats import print_document
from slipway.cli.host_trust import probe, trusted_fingerprint, trusted_host_key
from slipway.cli.questions import NotAsked, ask_secret, has_terminal, secret_line
from slipway.cli.session import Session, command
from slipway.cli.terminal import say, warn
from slipway.cli.tiers import beyond_key
from slipway.client.transport import Transport

__all__ = ["app", "cluster_script"]
PASSWORD = "SLIPWAY_CONNECT_PASSWORD"  # noqa: S105 - a variable's name
FileArgument = Annotated[
    str | None,
    typer.Argument(help="what the token script printed; - is standard input", show_default=False),
]


@command(app, "connect", "connect a cluster by a node's address and root's password, which is used once")
async def _connect(
    session: Session,
    address: Annotated[str, typer.Argument(help="of a node", show_default=False)],
    *,
    name: NameOption = "home",
    port: PortOption = 22,
    api_port: ApiPortOption = 8006,
    tier: TierOption = "full",
    vmids: VmidsOption = "",
    pool: PoolOption = "",
    mounts: MountsOption = "",
    devices: DevicesOption = "",
    host_key: HostKeyOption = None,
    fingerprint: FingerprintOption = None,
    accept_new: AcceptOption = False,
) -> None:
    bounds = {"vmids": vmids, "pool": pool, "mounts": mounts, "devices": devices}
    host, own_port = node_of(address)
    described = {"name": name, "address": host, "tier": tier}
    body = {**described, "port": port, "api_port": own_port or api_port}
    async with session.connect() as client:
        # What can't be made is refused before anybody compares a key and types a password.
        await client.post("/clusters/script", {**described, "bounds": bounds})
        trusted = await _trusted(client, body, host_key, fingerprint, accept_new=accept_new)
        with checks_of_refusal():
            cluster = await client.ask_host("/clusters/connect", {**trusted, "bounds": bounds})
        cluster = await _with_host_keys(client, cluster, {trusted["host_key"]})
    _report(session, cluster, f"Cluster {name} is connected.")


@command(app, "add", "add a cluster by what the token script printed, or by answering questions")
async def _add(
    session: Session,
    file: FileArgument = None,
    *,
    name: Annotated[str | None, typer.Option("--name", help="another name than it says")] = None,
    endpoint: Annotated[str | None, typer.Option("--endpoint", help="another address of the API")] = None,
    port: Annotated[int | None, typer.Option("--port", help="another port of SSH")] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="save it although checks fail; it is marked with them")
    ] = False,
) -> None:
    confirmed: set[str] = set()
    body = {}
    if file is not None:
        body = _overridden(read_printed(file), name=name, endpoint=endpoint, port=port)
        require_fields(body, file)
    with left_on_node(body, file):
        connection = session.connect()
    async with connection as client:
        if file is None:
            _require_terminal()
            body, confirmed = await ask_for_cluster(client, name=name, endpoint=endpoint, port=port)
        with left_on_node(body, file), checks_of_refusal():
            cluster = await client.ask_host(f"/clusters{'?anyway=true' if anyway else ''}", body)
        if file != "-":
            cluster = await _with_host_keys(client, cluster, confirmed)
    _report(session, cluster, f"Cluster {cluster['name']} is added.")
    if file not in {None, "-"}:
        session.report(f"{file} holds the token's secret and the SSH key: remove it.")


@command(
    app, "access", "give a cluster another token, key or tier: by password, by the script's output, by hand"
)
async def _access(
    session: Session,
    cluster: ClusterArgument,
    file: FileArgument = None,
    *,
    connect: Annotated[
        str | None,
        typer.Option("--connect", help="make them on the node at this address, by root's password"),
    ] = None,
    port: Annotated[int | None, typer.Option("--port", help="of SSH; as it is by default")] = None,
    api_port: Annotated[
        int | None,
        typer.Option("--api-port", help="of Proxmox VE's API there; as it is by default"),
    ] = None,
    tier: Annotated[str | None, typer.Option("--tier", help="another tier: observe, operate or full")] = None,
    vmids: VmidsOption = "",
    pool: PoolOption = "",
    mounts: MountsOption = "",
    devices: DevicesOption = "",
    host_key: HostKeyOption = None,
    fingerprint: FingerprintOption = None,
    accept_new: AcceptOption = False,
) -> None:
    path = cluster_path(cluster)
    async with session.connect() as client:
        present = await client.get(path)
        if connect is not None:
            api_port = api_port or urlsplit(present["endpoint"]).port or 8006
            body = {"address": connect, "port": port or present["ssh_port"], "api_port": api_port}
            body["tier"] = tier or present["tier"]
            trusted = await _trusted(client, body, host_key, fingerprint, accept_new=accept_new)
            bounds = {"vmids": vmids, "pool": pool, "mounts": mounts, "devices": devices}
            with checks_of_refusal():
                changed = await client.ask_host(f"{path}/connect", {**trusted, "bounds": bounds})
        else:
            if file is None:
                _require_terminal()
                change = ask_for_access(present)
            else:
                change = _change(read_printed(file), port=port)
            change |= {"tier": tier} if tier else {}
            with checks_of_refusal():
                changed = await client.put(f"{path}/access", change)
    _report(session, changed, f"The access to cluster {changed['name']} has changed.")
    former = made_id(present["token_id"])
    if connect is None and former and changed["token_id"] != present["token_id"]:
        login = f"{port_option(present['ssh_port'])}root@NODE"
        session.report(
            "The former access is still on the node; this takes it away: "
            f"slipway cluster script --remove {former} | ssh {login} sh -s"
        )


@command(app, "check", "test a cluster as it is, and show each check with what to do about it")
async def _check(session: Session, cluster: ClusterArgument) -> int:
    async with session.connect() as client:
        checked = await client.ask_host(f"{cluster_path(cluster)}/check", {})
        checked = await _with_host_keys(client, checked, set())
    failed = checked["failed_checks"]
    _report(session, checked, "Some checks failed." if failed else f"Cluster {checked['name']} passes.")
    return 1 if failed else 0


async def _trusted(
    client: Transport,
    body: Mapping[str, Any],
    host_key: str | None,
    fingerprint: str | None,
    *,
    accept_new: bool,
) -> dict[str, Any]:
    """Return a request with the machine's host key, once it is trusted, and with root's password."""
    seen = await probe(client, body["address"], port=body["port"], api_port=body["api_port"])
    pinned = trusted_fingerprint(seen, fingerprint)
    key = trusted_host_key(seen, given=host_key, accept_new=accept_new)
    return {**body, "host_key": key, "tls_fingerprint": pinned, "password": _password(body["address"])}


async def _with_host_keys(
    client: Transport, cluster: dict[str, Any], confirmed: AbstractSet[str]
) -> dict[str, Any]:
    """Return the cluster, once host keys that nobody has confirmed were compared in the terminal, if any."""
    if has_terminal() and await confirm_host_keys(client, cluster, confirmed):
        return await client.ask_host(f"{cluster_path(cluster['id'])}/check", {})
    return cluster


def _password(address: str) -> str:
    if password := os.environ.get(PASSWORD):
        return password
    if has_terminal():
        if password := ask_secret(f"Password of root at {address}"):
            return password
        raise WrongInput("No password was typed, so nothing was sent to the machine.")
    return secret_line(PASSWORD)


def _overridden(
    body: dict[str, Any], *, name: str | None, endpoint: str | None, port: int | None
) -> dict[str, Any]:
    changed = {**body, **{key: value for key, value in (("name", name), ("endpoint", endpoint)) if value}}
    if port is not None and isinstance(ssh := changed.get("ssh"), dict):
        changed["ssh"] = {**ssh, "port": port}
    return changed


def _change(body: Mapping[str, Any], *, port: int | None) -> dict[str, Any]:
    """Return the change of access that the script's output stands for; the API's address stays as it is."""
    change = {key: value for key, value in body.items() if key not in {"name", "endpoint", "ssh"}}
    ssh = body.get("ssh") or {}
    if port and isinstance(ssh, dict):
        ssh = {**ssh, "port": port}
    return change | ({"ssh": ssh} if ssh else {})


def _require_terminal() -> None:
    if not has_terminal():
        raise NotAsked("There is no terminal to ask in: give a file, or - for standard input.")


def _report(session: Session, cluster: Mapping[str, Any], sentence: str) -> None:
    """Print a cluster that was tested, with its checks."""
    if session.form.is_whole:
        print_document(cluster, session.form)
    elif session.form == "name":
        say(str(cluster["name"]))
    report_checks(session.report, cluster["checks"])
    session.report(sentence)
    if any(each["is_ssh_usable"] and not each["ssh_limits"] for each in cluster["nodes"]):
        warn(
            "Its SSH login is not bound: whoever has its key or password is root on the nodes. "
            f"`slipway cluster access {cluster['name']} --connect ADDRESS --vmids 100-199` (or --pool NAME) "
            "makes a key that is bound."
        )
    if (chosen := beyond_key(cluster)) is not None:
        warn(chosen)
    if cluster["failed_checks"]:
        warn(f"It is marked with the checks that failed: {', '.join(cluster['failed_checks'])}.")
