"""The lab under `up --lab`: a process of its own, added like any other cluster, over the API."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.client.api import ApiProblem, ApiUnreachable, Client
from slipway.standalone.endpoints import LabEndpoint

CLUSTER = "lab"


@dataclass(frozen=True, slots=True)
class RunningLab:
    """What `lab.json` says of a lab that is ready."""

    told: dict[str, Any]

    @property
    def endpoint(self) -> LabEndpoint:
        """How the lab is reached as a Proxmox node."""
        return LabEndpoint(
            endpoint=self.told["endpoint"],
            token_id=self.told["token_id"],
            token_secret_file=self.told["token_secret_file"],
            guests=self.told["guests_kind"],
        )

    @property
    def reason(self) -> str:
        """Which guests, and why."""
        return str(self.told["guests_reason"])

    def cluster(self) -> dict[str, Any]:
        """What is posted to add it: token, fingerprint, SSH key and host key."""
        return {
            "name": CLUSTER,
            "endpoint": self.told["endpoint"],
            "token_id": self.told["token_id"],
            "token_secret": _read(self.told["token_secret_file"]),
            "tls_fingerprint": self.told["fingerprint"],
            "ssh": {
                "username": "root",
                "private_key": _read(self.told["ssh_private_key_file"]),
                "port": self.told["ssh_port"],
                "nodes": self.told["nodes"],
            },
        }


def read_lab(data: Path) -> RunningLab | None:
    """Read what a lab says of itself; None while it is not ready."""
    path = data / "lab.json"
    try:
        return RunningLab(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


async def add_cluster(client: Client, lab: RunningLab) -> None:
    """Add the lab's cluster unless it is known already."""
    known = await client.items("/clusters")
    if any(each["name"] == CLUSTER for each in known):
        return
    await client.post("/clusters", lab.cluster())


async def is_usable(client: Client, lab: RunningLab | None) -> bool:
    """Whether containers could be created on the lab now: its nodes are online and reached by SSH."""
    try:
        cluster = next(each for each in await client.items("/clusters") if each["name"] == CLUSTER)
    except (ApiProblem, ApiUnreachable, StopIteration):
        return False
    nodes = cluster.get("nodes") or []
    usable = {node["node"] for node in nodes if node["is_online"] and node["is_ssh_usable"]}
    return lab is not None and usable >= set(lab.told["nodes"])


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
