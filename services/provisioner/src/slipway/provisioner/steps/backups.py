"""Backups of a container, made with vzdump. `restore` goes back to one."""

import re
from collections.abc import Iterable
from datetime import timedelta

from slipway.contracts.job_kinds import BackupArgs
from slipway.contracts.problems import Conflict, Failed, FieldError
from slipway.provisioner.engine.facts import StepFacts
from slipway.provisioner.engine.step import Result
from slipway.provisioner.host import marks, tasks
from slipway.provisioner.host.work import Work
from slipway.provisioner.steps import power
from slipway.proxmox.errors import TaskFailed
from slipway.proxmox.storage_answers import Volume

DEADLINE = timedelta(hours=6)
KIND = "backup"
"""Proxmox's word for what a storage holds."""
_ARCHIVE = re.compile(r"creating (?:vzdump|Proxmox Backup Server) archive '(?:.*/dump/)?(?P<name>[^']+)'")


class BackupFacts(StepFacts):
    """A backup."""

    storage: str | None = None
    """Where it goes."""
    backup: str | None = None
    """Its volume."""


class BackupImpossible(Conflict):
    """No storage of the node can hold a backup."""

    code = "backup.impossible"


class BackupFailed(Failed):
    """Proxmox could not make the backup."""

    code = "backup.failed"


async def choose_storage(work: Work) -> Result:
    """Make sure that it is ours, and choose where the backup goes."""
    await power.look(work)
    api, node, requested = work.cluster.api, work.target.node, work.command.args_as(BackupArgs).storage
    able = sorted(each.name for each in await api.storages(node, content=KIND) if each.active)
    if not able or (requested is not None and requested not in able):
        names = ", ".join(able) or "none"
        reason = f"Storage {requested!r} holds no backups" if requested else "No storage holds backups"
        message = f"{reason} on node {node} now; storages that do: {names}."
        raise BackupImpossible(message, errors=[FieldError(field="args.storage", message=message)])
    storage = requested or able[0]
    work.note(BackupFacts(storage=storage))
    return Result(message=storage)


async def make(work: Work) -> Result:
    """Make the backup; a failure carries the message of vzdump."""
    api, target, args = work.cluster.api, work.target, work.command.args_as(BackupArgs)
    storage = str(work.facts(BackupFacts, "backup.look").storage)
    mode, notes = args.mode or "snapshot", marks.unix_lines(args.description or "{{guestname}}")
    try:
        await tasks.run(
            work,
            "vzdump",
            lambda: api.backup(target.node, target.vmid, storage=storage, mode=mode, notes=notes),
            deadline=DEADLINE,
        )
    except TaskFailed as error:
        raise BackupFailed(f"The backup failed: {error.message}", upid=error.upid) from error
    volume = await _made(work, storage)
    work.note(BackupFacts(backup=volume))
    return Result(message=volume or storage)


async def _made(work: Work, storage: str) -> str | None:
    """Return the volume that the step's task made, by the log: names follow the node's clock."""
    upid = work.facts(tasks.TaskFacts).upid
    lines = await work.cluster.api.task_log(upid) if upid else ()
    archive = next((match["name"] for line in lines if (match := _ARCHIVE.search(line.text))), None)
    volumes = [each.volid for each in await list_backups(work, [storage])]
    return next((volume for volume in volumes if archive and volume.endswith(f"/{archive}")), None)


async def list_backups(work: Work, storages: Iterable[str]) -> list[Volume]:
    """Return the container's backups on these storages, oldest first."""
    api, target = work.cluster.api, work.target
    volumes = [each for storage in storages for each in await api.content(target.node, storage, kind=KIND)]
    mine = (each for each in volumes if each.vmid == target.vmid and each.subtype != "qemu")
    return sorted(mine, key=lambda each: each.volid)
