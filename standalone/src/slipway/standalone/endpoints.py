"""`run/endpoints.json`: how to reach a running stack. It exists only while everything is ready."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from slipway.standalone.folders import write_whole


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
        content = {name: value for name, value in asdict(self).items() if value is not None}
        write_whole(path, json.dumps({**content, "pids": dict(pids)}, indent=2) + "\n")
