"""Backups of a container: made with vzdump, and gone back to in place."""

import re
from collections.abc import Iterable
from datetime import timedelta

from slipway.contracts.problems import Conflict, Failed, FieldError, NotFound
from slipway.provisioner.phases import ownership, power, remove, start, tasks
from slipway.provisioner.phases.work import DONE, SKIPPED, Result, Work
from slipway.proxmox.errors import TaskFailed, TaskLost
from slipway.proxmox.kept_answers import Volume
from slipway.proxmox.upid import Upid

DEADLINE = timedelta(hours=6)
KIND = "backup"
"""Proxmox's word for what a storage holds."""
_TASK = "vzrestore"
_ARCHIVE = re.compile(r"creating (?:vzdump|Proxmox Backup Server) archive '(?:.*/dump/)?(?P<name>[^']+)'")


class BackupImpossible(Conflict):
    """Nothing on the node can keep a backup."""

    code = "backup.impossible"


class BackupFailed(Failed):
    """Proxmox could not make the backup."""

    code = "backup.failed"


class BackupNotFound(NotFound):
    """The container has no such backup."""

    code = "backup.not-found"


async def look_for_a_place(work: Work) -> Result:
    """Make sure that it is ours, and choose where the backup goes."""
    await power.look(work)
    api, node, wanted = work.cluster.api, work.target.node, work.command.args.storage
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
    api, target, args = work.cluster.api, work.target, work.command.args
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


async def look_for_it(work: Work) -> Result:
    """Make sure that the backup is there and of this container, and that what it replaces is ours."""
    wanted, target = str(work.command.args.backup), work.target
    storage = wanted.partition(":")[0]
    known = {each.volid for each in await of(work, [storage])}
    if wanted not in known:
        has = ", ".join(sorted(known)) or "none"
        message = f"Storage {storage} has no backup {wanted!r} of container {target.vmid}. It has: {has}."
        raise BackupNotFound(message, errors=[FieldError(field="args.backup", message=message)])
    match await ownership.look(work):
        case ownership.Foreign():
            await power.look(work)
        case ownership.Ours(config) if config.lock is None:
            await remove.refuse_protected(work, "replaced by its backup")
            if await power.is_running(work) or await _ran(work):
                await work.remember(ran="yes")
        case _ if await _ran(work):
            await work.remember(ran="yes")
            return Result(message="an earlier restore was cut off; it is done again")
        case _:
            return Result(message="an earlier restore was cut off; it is done again")
    return DONE


async def restore(work: Work) -> Result:
    """Put the backup in the container's place; what a killed restore left is cleared first."""
    try:
        await _restore(work)
    except TaskLost:
        await _restore(work)
    return DONE


async def mark(work: Work) -> Result:
    """Stamp our mark anew: the notes came back with the backup."""
    await ownership.stamp(work)
    return DONE


async def start_again(work: Work) -> Result:
    """Start it, if it ran before."""
    return await start.start(work) if await _ran(work) else SKIPPED


async def _ran(work: Work) -> bool:
    """Whether it ran before; of a retry, before the job that it retries had stopped it."""
    if work.facts("restore.look").get("ran"):
        return True
    earlier = work.command.retry_of
    record = await work.story.earlier(earlier) if earlier is not None else None
    return any(step.facts.get("ran") for step in (record.steps if record else ()))


async def of(work: Work, storages: Iterable[str]) -> list[Volume]:
    """Give the container's backups on these storages, oldest first."""
    api, target = work.cluster.api, work.target
    found = [each for storage in storages for each in await api.content(target.node, storage, kind=KIND)]
    mine = (each for each in found if each.vmid == target.vmid and each.subtype != "qemu")
    return sorted(mine, key=lambda each: each.volid)


async def _restore(work: Work) -> None:
    api, target, spec = work.cluster.api, work.target, work.spec
    params: dict[str, str | int | bool] = {
        "vmid": target.vmid,
        "ostemplate": str(work.command.args.backup),
        "storage": str(spec.storage),
        "unprivileged": bool(spec.unprivileged),
    }
    if not work.facts().get("upid") and await _is_in_place(work):
        params["force"] = True
    await tasks.run(work, _TASK, lambda: api.restore(target.node, params), deadline=DEADLINE)


async def _is_in_place(work: Work) -> bool:
    """Make the way free; whether something is there that the restore replaces."""
    found = await ownership.look(work)
    match found:
        case ownership.Missing():
            return False
        case ownership.Begun(task) if task.is_running:
            await tasks.adopt(work, task.upid)
        case ownership.Begun() | ownership.HalfCleared():
            await ownership.clear(work)
            return False
        case ownership.Ours(config) if config.lock == "create":
            begun = await tasks.begun(work, _TASK)
            if begun is not None and begun.is_running:
                await tasks.adopt(work, begun.upid)
            else:
                # A killed restore leaves the lock; what it was to replace is half gone anyway.
                await work.pct.unlock(work.target.vmid)
        case _:
            pass
    return True
