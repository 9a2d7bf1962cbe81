"""Stopping and removing a container: the steps of a deletion, and of `on_failure`."""

from datetime import timedelta

from slipway.contracts.problems import Conflict
from slipway.provisioner.engine.step import DONE, SKIPPED, Result
from slipway.provisioner.host import ha, marks, ownership, tasks
from slipway.provisioner.host.work import Work
from slipway.proxmox.answers import Power
from slipway.proxmox.errors import ContainerMissing, NotRunning

STOP_DEADLINE = timedelta(minutes=5)
DELETE_DEADLINE = timedelta(minutes=15)


class Protected(Conflict):
    """Proxmox's `protection` is set."""

    code = "container.protected"


async def look(work: Work) -> Result:
    """Make sure that it is ours before anything is done to it."""
    match await ownership.look(work):
        case ownership.Missing():
            return Result(message="it is gone already")
        case ownership.Foreign():
            vmid = work.target.vmid
            raise ownership.NotOurs(
                f"VMID {vmid} on {work.target.node} does not carry this container's mark, so it is not "
                f"touched. If it is the right one, write this line into its notes: {marks.line(work.target)}",
                vmid=vmid,
            )
        case _:
            return DONE


async def look_before_deletion(work: Work) -> Result:
    """Make sure that it is ours and not protected, before it is stopped for its deletion."""
    result = await look(work)
    await refuse_protected(work, "deleted")
    return result


async def refuse_protected(work: Work, act: str) -> None:
    """Raise `Protected` if Proxmox would refuse to have it deleted or replaced."""
    target = work.target
    try:
        config = await work.config()
    except ContainerMissing:
        return
    if config.protection:
        raise Protected(
            f"Container {target.vmid} is protected in Proxmox, so it is not {act}. Take the protection off "
            f'first: POST /api/v1/containers/{target.container}/configure {{"protection": false}}.',
            vmid=target.vmid,
        )


async def look_when_idle(work: Work) -> ownership.Ownership:
    """Look what there is once no creation of ours runs any more; a running one is stopped first."""
    state = await ownership.look(work)
    if isinstance(state, ownership.Begun) and state.task.is_running:
        await work.journal.flush()
        await tasks.stop(work, state.task.upid)
        state = await ownership.look(work)
    return state


async def stop(work: Work, *, ends_shutdown: bool = False) -> Result:
    """Stop it at once, if it runs.

    Args:
        work: the run.
        ends_shutdown: whether a shutdown that is under way is ended first; a stop would wait for it in vain.
    """
    api, target = work.cluster.api, work.target
    try:
        is_running = await work.is_running()
    except ContainerMissing:
        return SKIPPED
    if not is_running:
        return SKIPPED
    try:
        await tasks.run(
            work,
            "vzstop",
            lambda: api.stop(target.node, target.vmid, overrule_shutdown=ends_shutdown),
            deadline=STOP_DEADLINE,
        )
        await ha.until_power(work, Power.STOPPED)
    except NotRunning:
        return SKIPPED
    return DONE


async def delete(work: Work) -> Result:
    """Remove it with its disks; the remainder of a killed creation is unlocked first."""
    api, target = work.cluster.api, work.target
    match await look_when_idle(work):
        case ownership.Missing():
            return Result(message="it is gone already")
        case state if ownership.is_remainder(state):
            await ownership.clear(work)
            return DONE
        case ownership.Foreign():
            return await look(work)
        case ownership.Ours():
            pass
    is_managed = await ha.is_managed(work)
    try:
        await tasks.run(
            work, "vzdestroy", lambda: api.delete(target.node, target.vmid), deadline=DELETE_DEADLINE
        )
    except ContainerMissing:
        return Result(message="it is gone already")
    return Result(message="taken out of HA as well (purge)") if is_managed else DONE
