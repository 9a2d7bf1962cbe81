"""The lab under `up --lab`: a process of its own, that says in a file how it is reached."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLUSTER = "lab"


@dataclass(frozen=True, slots=True)
class RunningLab:
    """A lab that is ready, as its `lab.json` describes it."""

    content: dict[str, Any]

    @property
    def endpoint(self) -> dict[str, str]:
        """How the lab is reached as a Proxmox node; `guests` is `lxc` or `simulated`."""
        fields = ("endpoint", "token_id", "token_secret_file")
        return {field: self.content[field] for field in fields} | {"guests": self.content["guests_kind"]}

    def access(self) -> dict[str, Any]:
        """Return what is posted to add it: token, fingerprint, SSH key and host key."""
        return {
            "name": CLUSTER,
            "endpoint": self.content["endpoint"],
            "token_id": self.content["token_id"],
            "token_secret": _read(self.content["token_secret_file"]),
            "tls_fingerprint": self.content["fingerprint"],
            "ssh": {
                "username": "root",
                "private_key": _read(self.content["ssh_private_key_file"]),
                "port": self.content["ssh_port"],
                "nodes": self.content["nodes"],
            },
        }


def read_lab(data: Path) -> RunningLab | None:
    """Read the description of a lab; None while it is not ready."""
    try:
        return RunningLab(json.loads((data / "lab.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
