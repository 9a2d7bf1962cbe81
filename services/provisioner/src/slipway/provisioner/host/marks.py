"""Slipway's mark: one line in a container's notes that identifies it as ours. Pure.

It counts only where it names the very container that it stands on: its cluster, its VMID and the MAC of one
of its network devices. A clone copies the notes, but has another VMID; a backup restored elsewhere as a new
container has other MACs. A copy carries a mark without a MAC until it is stamped, since Proxmox chooses a
copy's MACs itself. The rest of the notes is the user's.
"""

import hashlib

from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.jobs import Target
from slipway.contracts.message import Id
from slipway.proxmox.answers import ContainerConfig
from slipway.proxmox.host_config import MARK, without_mark


def is_marked(config: ContainerConfig, target: Target) -> bool:
    """Return whether the notes say that it is this very container."""
    identity = (target.container, target.cluster, str(target.vmid))
    addresses = macs(config)
    return any(
        (mark["container"], mark["cluster"], mark["vmid"]) == identity
        and (mark["mac"] is None or not addresses or mark["mac"].upper() in addresses)
        for mark in MARK.finditer(config.description)
    )


def notes(text: str | None, target: Target, job: Id, *, mac: str | None) -> str:
    """Return a user's text with our mark below it. The job is information only."""
    mark = " ".join((line(target), *([f"mac={mac}"] if mac else ()), f"job={job}"))
    return "\n\n".join(part for part in (unix_lines(text or "").strip(), mark) if part)


def line(target: Target) -> str:
    """Return the shortest valid mark: an operator may write it by hand."""
    return f"slipway: container={target.container} cluster={target.cluster} vmid={target.vmid}"


def made(spec: ContainerSpec, target: Target, job: Id) -> str:
    """Return the notes of a container that is made with this spec."""
    own = spec.networks[0].hwaddr or hwaddr(target.container, 0) if spec.networks else None
    return notes(spec.description, target, job, mac=own)


def stamped(config: ContainerConfig, target: Target, job: Id) -> str:
    """Return a container's notes with its mark made anew."""
    first = min((name for name, device in config.networks.items() if device.get("hwaddr")), default=None)
    mac = config.networks[first]["hwaddr"] if first else None
    return notes(without_mark(config.description), target, job, mac=mac)


def with_mark(text: str, description: str) -> str:
    """Return notes with a new text of the user's and the present mark."""
    mark = MARK.search(description)
    return "\n\n".join(part for part in (unix_lines(text).strip(), mark.group(0) if mark else "") if part)


def unix_lines(text: str) -> str:
    """Return a text whose lines end with LF alone; that of a web form ends them with CRLF."""
    return text.replace("\r\n", "\n")


def macs(config: ContainerConfig) -> frozenset[str]:
    """Return the MACs of a container's network devices."""
    return frozenset(device["hwaddr"].upper() for device in config.networks.values() if device.get("hwaddr"))


def hwaddr(container: Id, index: int) -> str:
    """Return a network device's MAC: always the same one, in Proxmox's own range (BC:24:11)."""
    digest = hashlib.sha256(f"{container}/{index}".encode()).digest()
    return ":".join(["BC", "24", "11", *(f"{byte:02X}" for byte in digest[:3])])
