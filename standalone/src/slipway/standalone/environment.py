"""The whole environment of each service. Secrets only as paths of files."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

GRACEFUL_SECONDS = 3
"""Below what `up` gives a service to stop."""
_OURS = (
    "SLIPWAY_URL",
    "SLIPWAY_TOKEN_FILE",
    "SLIPWAY_NATS_URL",
    "SLIPWAY_HTTP_PORT",
    "SLIPWAY_HTTP_HOST",
    "SLIPWAY_HTTPS_PORT",
    "SLIPWAY_HTTPS_HOST",
    "SLIPWAY_DATABASE_URL",
    "SLIPWAY_INSTANCE",
    "SLIPWAY_PROXMOX_RECORD",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all services of one stack share."""

    nats_url: str
    ports: Mapping[str, int]
    """Service to its HTTP port."""
    files: Mapping[str, Mapping[str, Path]]
    """Service to setting to file."""
    disk: Path
    """A folder on the disk that the bus and the database store on, which every service can reach."""
    templates: Path | None
    gateway: Mapping[str, str]
    """What only the gateway is told: where it listens, and its certificate."""
    record: Path | None
    """Where requests to Proxmox are recorded, if they are."""


def environment_of(service: str, surroundings: Surroundings) -> dict[str, str]:
    """Return a service's environment: the operator's settings, addresses and ports, paths of its secrets."""
    environment = {
        **_inherited(),
        "SLIPWAY_LOG_FORMAT": os.environ.get("SLIPWAY_LOG_FORMAT", "text"),
        "SLIPWAY_GRACEFUL_TIMEOUT": os.environ.get("SLIPWAY_GRACEFUL_TIMEOUT", str(GRACEFUL_SECONDS)),
        "SLIPWAY_NATS_URL": surroundings.nats_url,
        "SLIPWAY_DISK": str(surroundings.disk),
        "SLIPWAY_HTTP_PORT": str(surroundings.ports[service]),
        **{f"SLIPWAY_{setting}": str(path) for setting, path in surroundings.files[service].items()},
    }
    if service == "gateway":
        environment |= surroundings.gateway
    if service == "catalog" and surroundings.templates is not None:
        environment["SLIPWAY_TEMPLATES_DIR"] = str(surroundings.templates)
    if service in {"provisioner", "monitor"} and surroundings.record is not None:
        environment["SLIPWAY_PROXMOX_RECORD"] = str(surroundings.record)
    return environment


def lab_environment() -> dict[str, str]:
    """Return a lab's environment: what any program needs, and where the operator wants its cache."""
    cache = os.environ.get("SLIPWAY_LAB_CACHE")
    # Absolute: the lab runs in another folder than we do.
    return plain_environment() | ({"SLIPWAY_LAB_CACHE": str(Path(cache).absolute())} if cache else {})


def plain_environment() -> dict[str, str]:
    """Return what any program needs, and nothing that an operator set for his own shell."""
    return {
        "PATH": os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "TZ": os.environ.get("TZ", "UTC"),
    }


def _inherited() -> dict[str, str]:
    chosen = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("SLIPWAY_") and name not in _OURS and not name.endswith("_FILE")
    }
    return plain_environment() | chosen
