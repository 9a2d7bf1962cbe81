"""A container's config, read back: what holds now, and what waits for the next start.

A running container has many changes only after its next start (nameserver, searchdomain, timezone, tty,
console, cmode, features, ...: PVE 9.2, observed). `config` shows them as if they were there; only `pending`
tells them apart, so that is what is read.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from slipway.contracts.configs import HostConfig
from slipway.contracts.container_specs import MountSpec, NetworkSpec
from slipway.contracts.values import Power
from slipway.proxmox.answers import ContainerConfig
from slipway.proxmox.answers import Power as Answered
from slipway.proxmox.api import ProxmoxApi
from slipway.proxmox.wire import Reply

MARK = re.compile(
    r"^slipway: container=(?P<container>\S+) cluster=(?P<cluster>\S+) vmid=(?P<vmid>\d+)"
    r"(?: mac=(?P<mac>\S+))?(?: .*)?$",
    re.MULTILINE,
)
"""Slipway's own line in a container's notes; the rest is the user's."""
_UNITS = {"K": 1 / 1024 / 1024, "M": 1 / 1024, "G": 1.0, "T": 1024.0}
SAME_NAMES = (
    "hostname", "cores", "cpulimit", "cpuunits", "memory", "swap", "nameserver", "searchdomain",
    "unprivileged", "onboot", "protection", "timezone", "tags", "arch", "ostype", "cmode", "console", "tty",
    "debug", "hookscript", "entrypoint",
)  # fmt: skip
"""Fields that are called the same here and there."""
_NETWORK_TEXTS = ("name", "bridge", "ip", "gw", "ip6", "gw6", "trunks", "hwaddr")


async def read_config(api: ProxmoxApi, node: str, vmid: int) -> HostConfig | None:
    """Read a container's config and power; None for one that is only begun, or half cleared away."""
    at = datetime.now(UTC)
    rows = await api.pending(node, vmid)
    values = {row.key: row.value for row in rows if row.value is not None}
    config = api.reader.one(ContainerConfig, Reply(data=values, path=f"/nodes/{node}/lxc/{vmid}/pending"))
    if config.rootfs is None:
        return None
    status = await api.status(node, vmid)
    is_running = status.status is Answered.RUNNING
    # Proxmox cuts the fraction of an uptime off.
    started_at = at - timedelta(seconds=status.uptime + 1) if is_running else None
    changes = {row.key: change for row in rows if (change := row.change) is not None}
    return HostConfig(
        read_at=at,
        power=Power(status.status.value),
        started_at=started_at,
        disk=gib(config.mounts["rootfs"].get("size", "")),
        storage=_storage(config.mounts["rootfs"]),
        mounts=tuple(_mount(config.mounts[name]) for name in numbered(config.mounts) if name != "rootfs"),
        devices=tuple(str(values[name]).removeprefix("path=") for name in numbered(config.devices)),
        networks=tuple(network(config.networks[name]) for name in numbered(config.networks)),
        features={name: {"1": True, "0": False}.get(flag, flag) for name, flag in config.flags.items()},
        startup=str(values["startup"]) if "startup" in values else None,
        description=without_mark(config.description) or None,
        pending=changes,
        **{name: getattr(config, name) for name in SAME_NAMES if name in values},
    )


def without_mark(description: str) -> str:
    """Return the user's part of the notes."""
    return MARK.sub("", description).strip()


def gib(size: str) -> float | None:
    """Read a disk's size as Proxmox writes it (`8G`, `512M`); None if it does not say."""
    try:
        return float(size[:-1]) * _UNITS[size[-1]]
    except (ValueError, KeyError, IndexError):
        return None


def network(device: Mapping[str, str]) -> NetworkSpec:
    """Return a network device; a number that can't be read is left out."""
    texts: dict[str, Any] = {name: device.get(name) for name in _NETWORK_TEXTS}
    return NetworkSpec(
        **texts,
        tag=_integer(device.get("tag")),
        mtu=_integer(device.get("mtu")),
        rate=_number(device.get("rate")),
        firewall=_flag(device, "firewall"),
        link_down=_flag(device, "link_down"),
    )


def numbered(names: Iterable[str]) -> list[str]:
    """Sort `net10` behind `net2`."""
    return sorted(names, key=lambda name: (len(name), name))


def _storage(part: Mapping[str, str]) -> str:
    """Return a volume's storage; of a folder of the host its path."""
    volume = part.get("volume", "")
    return volume if volume.startswith("/") else volume.partition(":")[0]


def _mount(part: Mapping[str, str]) -> MountSpec:
    return MountSpec(
        storage=_storage(part),
        size=gib(part.get("size", "")),
        path=part.get("mp", ""),
        backup=_flag(part, "backup"),
        readonly=_flag(part, "ro"),
        acl=_flag(part, "acl"),
        quota=_flag(part, "quota"),
    )


def _flag(part: Mapping[str, str], name: str) -> bool | None:
    return {"1": True, "0": False}.get(part.get(name, ""))


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
