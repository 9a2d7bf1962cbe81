"""How a program reaches Slipway: by the environment, or by the data folder of the `up` on this machine."""

import json
import os
from pathlib import Path

from slipway.client.tls import Trust

DEFAULT_DATA = Path("~/.local/share/slipway")


class NotRunning(Exception):
    """Nothing runs on the data folder, it is not ready yet, or the environment names no server."""


def find_endpoint(data: Path | None = None) -> tuple[str, str, Trust]:
    """Return the address and the bearer token of a server, and which certificate it may have.

    `data` names the data folder of an `up`; without it `SLIPWAY_URL` and `SLIPWAY_TOKEN_FILE` count, with
    `SLIPWAY_TLS_FINGERPRINT` or `SLIPWAY_TLS_CA_FILE`, and after them the default data folder.
    """
    url, token_file = os.environ.get("SLIPWAY_URL"), os.environ.get("SLIPWAY_TOKEN_FILE")
    if data is not None or url is None:
        return (*read_endpoints(data or DEFAULT_DATA.expanduser()), Trust())
    if token_file is None:
        raise NotRunning(
            "SLIPWAY_URL is set, but SLIPWAY_TOKEN_FILE is not: set it to the file of your token"
        )
    try:
        return url, Path(token_file).read_text(encoding="utf-8").strip(), _trust()
    except OSError as error:
        raise NotRunning(f"SLIPWAY_TOKEN_FILE: {token_file}: {error.strerror}") from error


def _trust() -> Trust:
    fingerprint, ca = os.environ.get("SLIPWAY_TLS_FINGERPRINT"), os.environ.get("SLIPWAY_TLS_CA_FILE")
    if fingerprint and ca:
        raise NotRunning("SLIPWAY_TLS_FINGERPRINT and SLIPWAY_TLS_CA_FILE are both set: unset one of them")
    return Trust(fingerprint=fingerprint or None, ca_file=Path(ca) if ca else None)


def read_endpoints(data: Path) -> tuple[str, str]:
    """Return the address and the bearer token of the stack that runs on a data folder."""
    path = data / "run" / "endpoints.json"
    try:
        endpoints = json.loads(path.read_text(encoding="utf-8"))
        token = Path(endpoints["bootstrap_token_file"]).read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise NotRunning(
            f"slipway does not run on {data}, or is not ready yet: no {error.filename}. Start it with "
            "`slipway up` (`make up`), or name the folder that it runs on with --data."
        ) from error
    except PermissionError as error:
        raise NotRunning(
            f"{error.filename} belongs to another user. Run this command as the user who runs `slipway up`."
        ) from error
    return str(endpoints["http"]), token
