"""`run/endpoints.json`: how to reach a running stack. It is there only while everything is ready."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.cli.folders import write_whole


class NotRunning(Exception):
    """Nothing runs on this data folder, or it is not ready yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabEndpoint:
    """The lab, as a Proxmox node is reached."""

    endpoint: str
    token_id: str
    token_secret_file: str
    guests: str
    """`lxc` or `simulated`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Everything that another program needs to reach the stack; secrets as paths."""

    http: str
    nats: str
    nats_nkey_file: str
    """A read-only integrator's key."""
    bootstrap_token_file: str
    lab: LabEndpoint | None = None

    def write(self, path: Path, pids: Mapping[str, int]) -> None:
        """Write the file, whole."""
        told: dict[str, Any] = {
            "http": self.http,
            "nats": self.nats,
            "nats_nkey_file": self.nats_nkey_file,
            "bootstrap_token_file": self.bootstrap_token_file,
        }
        if self.lab is not None:
            told["lab"] = {
                "endpoint": self.lab.endpoint,
                "token_id": self.lab.token_id,
                "token_secret_file": self.lab.token_secret_file,
                "guests": self.lab.guests,
            }
        write_whole(path, json.dumps({**told, "pids": dict(pids)}, indent=2) + "\n")


def read_endpoints(data: Path) -> tuple[str, str]:
    """Read the address and the bearer token of the stack that runs on a data folder."""
    path = data / "run" / "endpoints.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        token = Path(told["bootstrap_token_file"]).read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise NotRunning(
            f"slipway does not run on {data}, or is not ready yet: no {error.filename}. Start it with "
            "`slipway up` (`make up`), or name the folder that it runs on with --data."
        ) from error
    except PermissionError as error:
        raise NotRunning(f"{error.filename} belongs to another user: run this as who runs `up`") from error
    return str(told["http"]), token
