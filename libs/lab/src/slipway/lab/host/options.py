"""What a container's options become when stored, and what a guest is made from.

Pure. Proxmox completes and reorders what it is given (PVE 9.2, recorded): networks get a `hwaddr` and a
`type`, tags are lower-cased, sorted and joined by `;`, a description ends with a newline.
"""

import random
import re
from collections.abc import Mapping
from pathlib import Path

from slipway.lab.guests.protocol import GuestSpec, Network
from slipway.lab.schema.calls import DEVICE, FEATURES, MOUNT_POINT, NETWORK, OPTIONS, ROOTFS
from slipway.lab.schema.parameters import find, join_options, split_options

MAC_PREFIX = "BC:24:11"
KIB_PER = {"K": 1, "M": 1024, "G": 1024**2, "T": 1024**3}
LOWEST_SHARES, HIGHEST_SHARES = 1, 10_000
"""What a kernel with cgroups v2 takes as `cpuunits`; others are brought within."""


def stored(key: str, value: str) -> str:
    """Bring an option into the form in which Proxmox keeps it."""
    if re.fullmatch(r"net\d+", key):
        return stored_network(value)
    match key:
        case "tags":
            return ";".join(sorted({tag.lower() for tag in re.split(r"[,;\s]+", value) if tag}))
        case "description":
            return value if value.endswith("\n") else f"{value}\n"
        case "nameserver" | "searchdomain":
            return " ".join(part for part in re.split(r"[,;\s\0]+", value) if part)
        case "cpuunits":
            return str(min(max(int(value), LOWEST_SHARES), HIGHEST_SHARES))
        case _:
            return value


def stored_network(value: str) -> str:
    """Complete a network device."""
    device = split_options(NETWORK, value)
    device.setdefault("hwaddr", random_hwaddr())
    device["hwaddr"] = device["hwaddr"].upper()
    device.setdefault("type", "veth")
    return join_options(NETWORK, device)


def random_hwaddr() -> str:
    """Make up a hardware address with Proxmox' prefix."""
    return MAC_PREFIX + "".join(f":{random.randrange(256):02X}" for _ in range(3))  # noqa: S311 - no secret


def features(config: Mapping[str, str]) -> dict[str, str]:
    """Read the feature flags."""
    return split_options(FEATURES, config.get("features", ""))


def networks(config: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Read the network devices, in the order of their numbers."""
    keys = sorted((key for key in config if re.fullmatch(r"net\d+", key)), key=lambda key: int(key[3:]))
    return {key: split_options(NETWORK, config[key]) for key in keys}


def volumes(config: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Read the root file system and mount points."""
    root = {"rootfs": split_options(ROOTFS, config["rootfs"])} if "rootfs" in config else {}
    keys = (key for key in sorted(config) if re.fullmatch(r"mp\d+", key))
    return root | {key: split_options(MOUNT_POINT, config[key]) for key in keys}


def stored_volume(key: str, volume: Mapping[str, str]) -> str:
    """Write a root file system or mount point."""
    return join_options(ROOTFS if key == "rootfs" else MOUNT_POINT, volume)


def is_option(key: str) -> bool:
    """Return whether a config may hold such an option."""
    return find(OPTIONS, key) is not None


def size_gib(config: Mapping[str, str]) -> float:
    """Read the size of the root file system."""
    return to_kib(volumes(config).get("rootfs", {}).get("size", "4G")) / KIB_PER["G"]


def to_kib(size: str) -> int:
    """Read a size such as `4G`; a bare number is in bytes."""
    amount, unit = (size[:-1], size[-1]) if size[-1] in KIB_PER else (size, "")
    return int(float(amount) * KIB_PER[unit]) if unit else int(float(amount)) // 1024


def from_kib(kib: int) -> str:
    """Write a size in the largest unit that fits it wholly."""
    unit = next(unit for unit in "TGMK" if kib % KIB_PER[unit] == 0)
    return f"{kib // KIB_PER[unit]}{unit}"


def spec(
    vmid: int,
    config: Mapping[str, str],
    template: Path,
    *,
    password: str | None = None,
    ssh_public_keys: str | None = None,
) -> GuestSpec:
    """Describe the guest behind a config."""
    return GuestSpec(
        vmid=vmid,
        hostname=config.get("hostname", f"CT{vmid}"),
        template=template,
        unprivileged=config.get("unprivileged") == "1",
        cores=int(config.get("cores", "0")),
        memory_mib=int(config.get("memory", "512")),
        swap_mib=int(config.get("swap", "512")),
        networks=tuple(_network(device) for device in networks(config).values()),
        nameserver=config.get("nameserver"),
        searchdomain=config.get("searchdomain"),
        timezone=config.get("timezone"),
        password=password,
        ssh_public_keys=ssh_public_keys,
        environment=_environment(config.get("env", "")),
    )


def _network(device: Mapping[str, str]) -> Network:
    return Network(
        name=device["name"],
        bridge=device.get("bridge", ""),
        hwaddr=device["hwaddr"],
        ip=device.get("ip"),
        gw=device.get("gw"),
        ip6=device.get("ip6"),
        mtu=int(device["mtu"]) if "mtu" in device else None,
    )


def _environment(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split("\0") if "=" in pair)
    return {name: value for name, _, value in pairs}


def is_mount_point(key: str) -> bool:
    """Return whether an option is `mp0`, `mp1`, ..."""
    return re.fullmatch(r"mp\d+", key) is not None


def device_path(value: str) -> str | None:
    """Read the path of a device that is passed through."""
    return split_options(DEVICE, value).get("path")
