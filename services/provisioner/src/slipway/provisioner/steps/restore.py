"""Going back to a backup, in place.

Theory of operation (PVE::API2::LXC with `restore` and `force`). Proxmox reads the config out of the archive,
makes the new disks, removes the old container with its disks and snapshots, and only then unpacks. If that
fails, neither is left. So the head of the archive is read first, which is cheap; after a failure the host is
looked at: either the container is as it was, and is started again if it ran, or it is gone, and the error
says so. That it ran is stored, for the restore of another backup.
"""

import contextlib
from datetime import timedelta

from slipway.contracts.job_kinds import RestoreArgs
from slipway.contracts.problems import Failed, FieldError, Invalid, NotFound, SlipwayError
from slipway.provisioner.engine.step import DONE, SKIPPED, Result
from slipway.provisioner.host import ownership, tasks
from slipway.provisioner.host.work import Work
from slipway.provisioner.steps import backups, delete, power, start
from slipway.provisioner.steps.power import PowerFacts
from slipway.proxmox.errors import ContainerLocked, PermissionMissing, ProxmoxFailed, TaskFailed, TaskLost
from slipway.proxmox.storage_answers import Volume

DEADLINE = timedelta(hours=6)
_TASK = "vzrestore"
_LOCK = "create"


class BackupNotFound(NotFound):
    """The container has no such backup."""

    code = "backup.not-found"


class BackupDamaged(Invalid):
    """The backup can't be read; nothing was changed."""

    code = "backup.damaged"


class RestoreFailed(Failed):
    """The backup could not be restored; the container is as it was."""

    code = "restore.failed"


class ContainerLost(Failed):
    """A restore failed after Proxmox had removed the container: nothing of it is on the host."""

    code = "restore.container-lost"


async def look_for_backup(work: Work) -> Result:
    """Make sure that the backup is there, of this container and readable; what it replaces must be ours."""
    await _refuse_damaged(work, await _backup(work))
    state, ran = await ownership.look(work), await _ran(work)
    result = DONE
    match state:
        case ownership.Foreign():
            await power.look(work)
        case ownership.Ours(config) if config.lock != _LOCK:
            await delete.refuse_protected(work, "replaced by its backup")
            ran = ran or await work.is_running()
        case ownership.Missing():
            result = Result(message="nothing of it is on the host; it is made anew from the backup")
        case _:
            result = Result(message="an earlier restore was cut off; it is done again")
    if ran:
        work.note(PowerFacts(ran=True))
    return result


async def restore(work: Work) -> Result:
    """Put the backup in the container's place; what a killed restore left is cleared first."""
    try:
        try:
            await _restore(work)
        except TaskLost:
            await _restore(work)
    except TaskLost:
        raise
    except TaskFailed as error:
        raise await _explained(work, error) from error
    return DONE


async def mark(work: Work) -> Result:
    """Stamp our mark anew: the notes came back with the backup."""
    await ownership.stamp(work)
    return DONE


async def start_again(work: Work) -> Result:
    """Start it, if it ran before."""
    return await start.start(work) if await _ran(work) else SKIPPED


async def _backup(work: Work) -> Volume:
    """Return the backup; refuse one that is not there or not this container's."""
    volume, vmid = work.command.args_as(RestoreArgs).backup, work.target.vmid
    storage = volume.partition(":")[0]
    volumes = {each.volid: each for each in await backups.list_backups(work, [storage])}
    if volume in volumes:
        return volumes[volume]
    has = ", ".join(sorted(volumes)) or "none"
    message = f"Storage {storage} has no backup {volume!r} of container {vmid}. It has: {has}."
    raise BackupNotFound(message, errors=[FieldError(field="args.backup", message=message)])


async def _refuse_damaged(work: Work, backup: Volume) -> None:
    """Raise `BackupDamaged` if the head of the archive can't be read: Proxmox unpacks only after removing."""
    reason = "it is empty" if backup.size == 0 else None
    if reason is None:
        try:
            await work.cluster.api.backup_config(work.target.node, backup.volid)
        except PermissionMissing:
            # Not every access that may restore may read it; Proxmox reads it before it removes anything.
            return
        except ProxmoxFailed as error:
            reason = error.message
    if reason is not None:
        message = (
            f"The backup {backup.volid} can't be read: {reason}. Nothing was changed; choose another one."
        )
        raise BackupDamaged(message, errors=[FieldError(field="args.backup", message=message)])


async def _explained(work: Work, error: TaskFailed) -> SlipwayError:
    """Return the error with what a failed restore has left; start a container that is as it was again."""
    vmid, container = work.target.vmid, work.target.container
    match await ownership.look(work):
        case ownership.Ours(config) if config.rootfs is not None and config.lock in {None, _LOCK}:
            again = ""
            if config.lock is not None:
                await work.pct.unlock(vmid)
            if await _ran(work):
                with contextlib.suppress(SlipwayError):
                    await start.start(work)
                    again = " and runs again"
            return RestoreFailed(
                f"The restore failed before anything was replaced; container {vmid} is as it was{again}. "
                f"{error.message}",
                upid=error.upid,
            )
        case _:
            ran = " It is started once that has succeeded, as it ran before." if await _ran(work) else ""
            return ContainerLost(
                f"The restore failed, and container {vmid} with its disks is gone: Proxmox removes it before "
                "it unpacks the backup. Its name and VMID stay reserved. Restore another backup (POST "
                f"/api/v1/containers/{container}/restore; listed by GET .../backups).{ran} {error.message}",
                upid=error.upid,
            )


async def _ran(work: Work) -> bool:
    """Return whether it ran before; of a retry, before the job that it retries had stopped it."""
    if work.command.ran_before or work.facts(PowerFacts, "restore.look").ran:
        return True
    earlier = work.command.retry_of
    record = await work.journal.earlier(earlier) if earlier is not None else None
    return any(PowerFacts.read(step.facts).ran for step in (record.steps if record else ()))


async def _restore(work: Work) -> None:
    api, target, spec = work.cluster.api, work.target, work.spec
    params: dict[str, str | int | bool] = {
        "vmid": target.vmid,
        "ostemplate": work.command.args_as(RestoreArgs).backup,
        "storage": str(spec.storage),
        "unprivileged": bool(spec.unprivileged),
    }
    if not work.facts(tasks.TaskFacts).upid and await _is_in_place(work):
        params["force"] = True
    await tasks.run(work, _TASK, lambda: api.restore(target.node, params), deadline=DEADLINE)


async def _is_in_place(work: Work) -> bool:
    """Clear remainders away; return whether something is there that the restore replaces."""
    match await ownership.look(work):
        case ownership.Missing():
            return False
        case ownership.Begun(task) if task.is_running:
            await _take_up(work)
        case ownership.Begun() | ownership.HalfCleared():
            await ownership.clear(work)
            return False
        case ownership.Ours(config) if config.lock == _LOCK:
            begun = await tasks.begun(work, _TASK)
            if begun is not None and begun.is_running:
                await _take_up(work)
            else:
                # A killed restore leaves the lock; the container that it replaces is half gone anyway.
                await work.pct.unlock(work.target.vmid)
        case _:
            pass
    return True


async def _take_up(work: Work) -> None:
    """Wait for this step's own restore; that of another job may be of another backup."""
    task = await tasks.begun(work, _TASK) if work.facts(tasks.TaskFacts).posted_at else None
    if task is None:
        vmid = work.target.vmid
        raise ContainerLocked(f"CT is locked ({_LOCK}): another restore of {vmid} runs.", lock=_LOCK)
    await tasks.adopt(work, task.upid)
