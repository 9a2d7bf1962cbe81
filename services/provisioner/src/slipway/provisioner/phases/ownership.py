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


async def look(
    work: Work, *, since: datetime | None = None, kind: str = "vzcreate"
) -> Missing | Ours | Begun | Foreign:
    """Ask Proxmox what has the VMID; `kind` is the task that would have begun it."""
    target = work.target
    try:
        config = await work.cluster.api.config(target.node, target.vmid)
    except ContainerMissing:
        return Missing()
    if is_marked(config.description, target):
        return Ours(config)
    if config.is_bare and config.lock == "create":
        task = await tasks.find(work, kind, since or now() - LONG_AGO)
        return Begun(task) if task is not None else Foreign()
    return Foreign()


def is_remainder(found: Missing | Ours | Begun | Foreign) -> bool:
    """Whether it is what a killed creation or copy leaves: nobody can use it."""
    match found:
        case Begun():
            return True
        case Ours(config):
            return config.lock == "create" and config.rootfs is None
        case _:
            return False


def begun_since(work: Work) -> datetime:
    """Since when a task may be one of the running step's."""
    posted_at = work.facts().get("posted_at")
    return datetime.fromisoformat(posted_at) if posted_at else now() - LONG_AGO


async def clear(work: Work) -> None:
    """Remove what a killed creation of ours left: a locked config without a container."""
    vmid = work.target.vmid
    await work.story.tell(f"Clearing away what a killed creation left of {vmid}.")
    await work.pct.unlock(vmid)
    await work.pct.destroy(vmid)
    await work.remember(upid="", posted_at="")


async def stamp(work: Work) -> None:
    """Write our mark into the notes anew, after a copy or a restore; the user's part stays."""
    api, target = work.cluster.api, work.target
    config = await api.config(target.node, target.vmid)
    mark = _mark(target, work.command.job)
    notes = without_marker(config.description)
    told = "\n\n".join(part for part in (notes, mark) if part)
    if told != config.description.strip():
        await api.set_config(target.node, target.vmid, {"description": told}, digest=config.digest)


def marker(spec: ContainerSpec, target: Target, job: Id) -> str:
    """Give the notes: what the user wrote, and whose it is. The job is information only."""
    mark = _mark(target, job)
    return f"{spec.description}\n\n{mark}" if spec.description else mark


def with_marker(text: str, notes: str) -> str:
    """Give notes with another text of the user's and the marker that was there."""
    found = re.search(r"^slipway: .*$", notes, re.MULTILINE)
    mark = found.group(0) if found else ""
    return "\n\n".join(part for part in (text.strip(), mark) if part)


def without_marker(notes: str) -> str:
    """Give the user's part of the notes."""
    return re.sub(r"^slipway: .*$", "", notes, flags=re.MULTILINE).strip()


def is_marked(description: str, target: Target) -> bool:
    """Whether the notes say that it is this very container; a clone has another VMID."""
    found = _MARKER.search(description)
    return found is not None and (found["container"], found["vmid"]) == (target.container, str(target.vmid))


def _mark(target: Target, job: Id) -> str:
    place = f"cluster={target.cluster} vmid={target.vmid} mac={hwaddr(target.container, 0)}"
    return f"slipway: container={target.container} {place} job={job}"


def hwaddr(container: Id, index: int) -> str:
    """Give a network device's MAC: the same each time it is asked, in Proxmox's own range (BC:24:11)."""
    digest = hashlib.sha256(f"{container}/{index}".encode()).digest()
    return ":".join(["BC", "24", "11", *(f"{byte:02X}" for byte in digest[:3])])
