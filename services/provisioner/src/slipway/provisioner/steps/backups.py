"""Backups of a container: made with vzdump. How one is gone back to is in `restores`."""

import re
from collections.abc import Iterable
from datetime import timedelta

from slipway.contracts.job_kinds import BackupArgs
from slipway.contracts.problems import Conflict, Failed, FieldError
from slipway.provisioner.host import tasks
from slipway.provisioner.steps import power
from slipway.provisioner.steps.work import Result, Work
from slipway.proxmox.errors import TaskFailed
from slipway.proxmox.storage_answers import Volume
from slipway.proxmox.upid import Upid

DEADLINE = timedelta(hours=6)
KIND = "backup"
"""Proxmox's word for what a storage holds."""
_ARCHIVE = re.compile(r"creating (?:vzdump|Proxmox Backup Server) archive '(?:.*/dump/)?(?P<name>[^']+)'")


class BackupImpossible(Conflict):
    """Nothing on the node can keep a backup."""

    code = "backup.impossible"


class BackupFailed(Failed):
    """Proxmox could not make the backup."""

    code = "backup.failed"


async def look_for_a_place(work: Work) -> Result:
    """Make sure that it is ours, and choose where the backup goes."""
    await power.look(work)
    api, node, wanted = work.cluster.api, work.target.node, work.command.args_as(BackupArgs).storage
    able = sorted(each.name for each in await api.storages(node, content=KIND) if each.active)
    if not able or (wanted is not None and wanted not in able):
        known = ", ".join(able) or "none"
        told = f"Storage {wanted!r} keeps no backups" if wanted else "No storage keeps backups"
        message = f"{told} on node {node} now; those that do: {known}."
        raise BackupImpossible(message, errors=[FieldError(field="args.storage", message=message)])
    await work.remember(storage=wanted or able[0])
    return Result(message=wanted or able[0])


async def make(work: Work) -> Result:
    """Make the backup; what vzdump said of its failure is what is told."""
    api, target, args = work.cluster.api, work.target, work.command.args_as(BackupArgs)
    storage = work.facts("backup.look")["storage"]

    async def post() -> Upid:
        return await api.backup(
            target.node,
            target.vmid,
            storage=storage,
            mode=args.mode or "snapshot",
            notes=args.description or "{{guestname}}",
        )

    try:
        await tasks.run(work, "vzdump", post, deadline=DEADLINE)
    except TaskFailed as error:
        raise BackupFailed(f"The backup failed: {error.message}", upid=error.upid) from error
    volume = await _made(work, storage)
    await work.remember(backup=volume or "")
    return Result(message=volume or storage)


async def _made(work: Work, storage: str) -> str | None:
    """Give the volume that the step's task made, by its own log: a name tells only the node's time."""
    upid = work.facts().get("upid")
    lines = (await work.cluster.api.task_log(Upid(upid))).lines if upid else ()
    named = next((found["name"] for line in lines if (found := _ARCHIVE.search(line.text))), None)
    volumes = [each.volid for each in await of(work, [storage])]
    return next((volume for volume in volumes if named and volume.endswith(f"/{named}")), None)


async def of(work: Work, storages: Iterable[str]) -> list[Volume]:
    """Give the container's backups on these storages, oldest first."""
    api, target = work.cluster.api, work.target
    found = [each for storage in storages for each in await api.content(target.node, storage, kind=KIND)]
    mine = (each for each in found if each.vmid == target.vmid and each.subtype != "qemu")
    return sorted(mine, key=lambda each: each.volid)
