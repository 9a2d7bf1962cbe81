"""How a program reaches the Slipway that runs on this machine, as `run/endpoints.json` says."""

import json
from pathlib import Path


class NotRunning(Exception):
    """Nothing runs on this data folder, or it is not ready yet."""


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
