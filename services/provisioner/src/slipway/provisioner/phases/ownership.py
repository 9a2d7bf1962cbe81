"""Whose container is it? Our marker stands in its notes; a creation that died has none yet, but a task."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.contracts.containers import ContainerSpec
from slipway.contracts.jobs import Target
from slipway.contracts.message import Id
from slipway.contracts.problems import Conflict
from slipway.provisioner.phases import tasks
from slipway.provisioner.phases.work import Work
from slipway.proxmox.answers import ContainerConfig
from slipway.proxmox.errors import ContainerMissing
from slipway.proxmox.task_answers import Task
from slipway.runtime.clock import now

_MARKER = re.compile(r"slipway: container=(?P<container>\S+) cluster=(?P<cluster>\S+) vmid=(?P<vmid>\d+)")
LONG_AGO = timedelta(days=90)


class NotOurs(Conflict):
    """Someone else's container has the VMID."""

    code = "container.not-ours"


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing has the VMID."""


@dataclass(frozen=True, slots=True)
class Ours:
    """A whole container of ours."""

    config: ContainerConfig


@dataclass(frozen=True, slots=True)
class Begun:
    """A bare lock of a creation of ours; its task may still run."""

    task: Task


@dataclass(frozen=True, slots=True)
class Foreign:
    """Someone else's."""


async def look(work: Work, *, since: datetime | None = None) -> Missing | Ours | Begun | Foreign:
    """Ask Proxmox what has the VMID."""
    target = work.target
    try:
        config = await work.cluster.api.config(target.node, target.vmid)
    except ContainerMissing:
        return Missing()
    if is_marked(config.description, target):
        return Ours(config)
    if config.is_bare and config.lock == "create":
        task = await tasks.find(work, "vzcreate", since or now() - LONG_AGO)
        return Begun(task) if task is not None else Foreign()
    return Foreign()


def marker(spec: ContainerSpec, target: Target, job: Id) -> str:
    """Give the notes: what the user wrote, and whose it is. The job is information only."""
    mac = hwaddr(target.container, 0)
    place = f"cluster={target.cluster} vmid={target.vmid} mac={mac}"
    mark = f"slipway: container={target.container} {place} job={job}"
    return f"{spec.description}\n\n{mark}" if spec.description else mark


def with_marker(text: str, notes: str) -> str:
    """Give notes with another text of the user's and the marker that was there."""
    found = re.search(r"^slipway: .*$", notes, re.MULTILINE)
    mark = found.group(0) if found else ""
    return "\n\n".join(part for part in (text.strip(), mark) if part)


def is_marked(description: str, target: Target) -> bool:
    """Whether the notes say that it is this very container; a clone has another VMID."""
    found = _MARKER.search(description)
    return found is not None and (found["container"], found["vmid"]) == (target.container, str(target.vmid))


def hwaddr(container: Id, index: int) -> str:
    """Give a network device's MAC: the same each time it is asked, in Proxmox's own range (BC:24:11)."""
    digest = hashlib.sha256(f"{container}/{index}".encode()).digest()
    return ":".join(["BC", "24", "11", *(f"{byte:02X}" for byte in digest[:3])])
