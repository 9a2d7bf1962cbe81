"""`run/endpoints.json`: how to reach a running stack. It is there only while everything is ready."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
