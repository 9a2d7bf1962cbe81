"""The questions about a cluster that is added, or whose access is changed, by hand."""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from slipway.cli.clusters import cluster_path
from slipway.cli.confirmation import agreed
from slipway.cli.errors import WrongInput
from slipway.cli.host_trust import probe, trusted_host_key
from slipway.cli.questions import ask, ask_secret, ask_until
from slipway.cli.terminal import warn
from slipway.client.transport import Transport
from slipway.contracts.tiers import Tier

_KEY = "~/.ssh/id_ed25519"
_FULL = "full"
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LAST_PORT = 65535
_TRIES = 4
"""How often another address is asked for, where a machine shows nothing."""


async def ask_for_cluster(
    client: Transport, *, name: str | None, endpoint: str | None, port: int | None
) -> tuple[dict[str, Any], set[str]]:
    """Ask for every field of a new cluster; return it, and the SSH host keys that were compared."""
    name = name or ask("Name of the cluster in Slipway", default="home")
    where = endpoint_of(endpoint) if endpoint else _ask_for_endpoint()
    tier = ask_until(partial(ask, "Tier of trust: observe, operate or full", default=_FULL), tier_of)
    ssh_port = port or (_ask_for_port() if tier == _FULL else 22)
    seen = await probe(client, where[1], port=ssh_port, api_port=where[2])
    for _ in range(_TRIES):
        if endpoint or not _is_silent(seen, tier):
            break
        warn(f"{' '.join(seen['problems'])} Once more:")
        where = _ask_for_endpoint()
        ssh_port = port or (_ask_for_port() if tier == _FULL else 22)
        seen = await probe(client, where[1], port=ssh_port, api_port=where[2])
    body: dict[str, Any] = {"name": name, "endpoint": where[0], "tier": tier}
    body["tls_fingerprint"] = _compared_fingerprint(seen)
    body["token_id"] = ask("Token", default="slipway@pve!main")
    body["token_secret"] = ask_until(partial(ask_secret, "Secret of the token"), _not_empty)
    confirmed: set[str] = set()
    if tier == _FULL:
        confirmed.add(trusted_host_key(seen, given=None, accept_new=False, is_certificate_known=True))
        body["ssh"] = {**_ask_for_login(), "port": ssh_port}
    return body, confirmed


def endpoint_of(text: str) -> tuple[str, str, int]:
    """Return an endpoint with its host and port, from what a person types."""
    endpoint = text if "//" in text else f"https://{text}"
    try:
        url = urlsplit(endpoint)
        host, port = url.hostname, url.port
    except ValueError:
        host = port = None
    if not host:
        raise WrongInput("It is no address: it is like https://pve1:8006.")
    return endpoint, host, port or 8006


def node_of(text: str) -> tuple[str, int | None]:
    """Return a node's address, and the API's port if it is typed with it, as in `https://pve1:8006`."""
    if "//" not in text and not text.startswith("[") and text.count(":") != 1:
        return text, None
    endpoint, host, port = endpoint_of(text)
    return host, port if urlsplit(endpoint).port else None


def port_of(text: str) -> int:
    """Return the port that a person types."""
    if not _PORT.fullmatch(text) or int(text) > _LAST_PORT:
        raise WrongInput(f"It is no port: it is a number from 1 to {_LAST_PORT}.")
    return int(text)


def tier_of(text: str) -> str:
    """Return the tier of trust that a person types."""
    if text not in set(Tier):
        raise WrongInput(f"It is no tier of trust: it is one of {', '.join(Tier)}.")
    return text


def ask_for_access(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """Ask what is new in the access to a cluster; an empty answer leaves it as it is."""
    change: dict[str, Any] = {}
    token = ask("Token", default=cluster["token_id"] or "")
    if secret := ask_secret("Secret of the token (empty: as it is)"):
        change |= {"token_id": token, "token_secret": secret}
    ask_file = partial(ask, "File of the private SSH key (empty: as it is)")
    if key := ask_until(ask_file, lambda file: read_key(file) if file else ""):
        change["ssh"] = {"private_key": key}
    if not change:
        raise WrongInput("Nothing is new, so nothing was changed.")
    return change


async def confirm_host_keys(
    client: Transport, cluster: Mapping[str, Any], confirmed: AbstractSet[str]
) -> bool:
    """Confirm the host keys of a cluster's nodes: those that were compared, and others by asking.

    Return whether there were any.
    """
    are_any = False
    for node, key in cluster["offered_host_keys"].items():
        is_same = any(key.split()[:2] == each.split()[:2] for each in confirmed)
        if not is_same:
            warn(f"The SSH host key of node {node}: {key}")
            warn("On the node itself, `cat /etc/ssh/ssh_host_ed25519_key.pub` shows the right one.")
        if is_same or agreed("Are they the same? [y/N] ", default=False):
            path = f"{cluster_path(cluster['id'])}/nodes/{quote(node, safe='')}/host-key"
            await client.put(path, {"host_key": key})
            are_any = True
    return are_any


def _compared_fingerprint(seen: Mapping[str, Any]) -> str:
    """Return the certificate's fingerprint, compared by a person."""
    shown = seen["tls_fingerprint"]
    if shown is None:
        raise WrongInput(" ".join(seen["problems"]))
    warn(f"The certificate of {seen['endpoint']}: SHA-256 {shown}")
    warn("On the node, it is shown by `openssl x509 -noout -sha256 -fingerprint -in \\")
    warn("/etc/pve/local/pveproxy-ssl.pem`, or pve-ssl.pem if there is none.")
    if not agreed("Are they the same? [y/N] ", default=False):
        raise WrongInput("Nothing was sent to the machine.")
    return str(shown)


def _ask_for_login() -> dict[str, Any]:
    username = ask("User of SSH", default="root")
    ask_file = partial(ask, "File of the private SSH key (- is none: a password)", default=_KEY)
    key = ask_until(ask_file, lambda file: "" if file == "-" else read_key(file))
    if key:
        return {"username": username, "private_key": key}
    password = ask_until(partial(ask_secret, f"SSH password of {username}"), _not_empty)
    return {"username": username, "password": password}


def read_key(file: str) -> str:
    """Return the private key in the file that a person names; a failure does not repeat the name."""
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise WrongInput(f"There is no such file to read: {error.strerror or 'it has no path'}.") from None
    except (ValueError, RuntimeError):
        text = ""
    if "PRIVATE KEY-----" not in text:
        raise WrongInput(
            "It is no private SSH key in OpenSSH or PEM form, which is text: give the file without .pub."
        )
    return text


def _ask_for_endpoint() -> tuple[str, str, int]:
    return ask_until(partial(ask, "Address of its API", default="https://pve1:8006"), endpoint_of)


def _ask_for_port() -> int:
    return ask_until(partial(ask, "Port of SSH", default="22"), port_of)


def _is_silent(seen: Mapping[str, Any], tier: str) -> bool:
    """Return whether a machine shows less than is needed."""
    return seen["tls_fingerprint"] is None or (tier == _FULL and seen["host_key"] is None)


def _not_empty(secret: str) -> str:
    if not secret:
        raise WrongInput("Nothing was typed.")
    return secret
