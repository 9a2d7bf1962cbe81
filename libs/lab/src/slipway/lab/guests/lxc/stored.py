"""What is stored of a guest beside its disk: its spec, the layer below it, its address."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from slipway.lab.guests.protocol import GuestError, GuestSpec, Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Content of `guest.json`; root's password is never in it."""

    spec: GuestSpec
    base: Path
    lease: str | None
    """IPv4 address with prefix length, for the device that asks for one."""


def write(folder: Path, stored: Stored) -> None:
    """Replace the file as a whole."""
    spec = asdict(stored.spec) | {
        "template": str(stored.spec.template),
        "password": None,
        "environment": dict(stored.spec.environment),
    }
    draft = folder / ".guest.json"
    draft.write_text(json.dumps({"spec": spec, "base": str(stored.base), "lease": stored.lease}))
    draft.chmod(0o600)
    draft.replace(folder / "guest.json")


def exists(folder: Path) -> bool:
    """Whether a guest was made there to the end; what was not is nobody's."""
    return (folder / "guest.json").exists()


def read(folder: Path, vmid: int) -> Stored:
    """Read it back; a folder without it is no guest."""
    try:
        found = json.loads((folder / "guest.json").read_text())
    except FileNotFoundError:
        raise GuestError(f"guest {vmid} does not exist") from None
    return Stored(spec=_spec(found["spec"]), base=Path(found["base"]), lease=found["lease"])


def _spec(found: Mapping[str, Any]) -> GuestSpec:
    networks = tuple(Network(**network) for network in found["networks"])
    return GuestSpec(**{**found, "template": Path(found["template"]), "networks": networks})
