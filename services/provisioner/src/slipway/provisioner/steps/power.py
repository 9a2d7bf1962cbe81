"""Power of a container that exists."""

from datetime import timedelta

from slipway.contracts.job_kinds import Args, ShutdownArgs
from slipway.provisioner.engine.facts import StepFacts
from slipway.provisioner.engine.step import DONE, NOTHING_TO_DO, SKIPPED, Result
from slipway.provisioner.host import ha, ownership, tasks
from slipway.provisioner.host.work import Work
from slipway.provisioner.steps import delete
from slipway.proxmox.answers import Power
from slipway.proxmox.errors import ContainerMissing, NotRunning, TaskFailed, TaskTimedOut

GRACE_SECONDS = 30
_SLACK = timedelta(seconds=90)
"""Beyond twice the grace: where Proxmox has to end by itself, as in a reboot or under HA."""
_ANSWER = timedelta(seconds=2)
"""Beyond the grace. A shutdown that a guest ignores ends after about twice its grace (PVE 9.2, observed); it
is not waited for, the stop that follows ends it."""


class PowerFacts(StepFacts):
    """Power of the container."""

    ran: bool = False
    """Whether it ran before the job."""
    in_vain: bool = False
    """Whether it was asked to shut down in vain."""


async def look(work: Work) -> Result:
    """Make sure that it is there and ours before anything is done to it."""
    state = await ownership.look(work)
    if isinstance(state, ownership.Missing):
        vmid, node = work.target.vmid, work.target.node
        raise ContainerMissing(
            f"There is no container {vmid} on {node} any more; delete it here as well, or create it anew.",
            vmid=vmid,
        )
    return await delete.look(work)


async def stop(work: Work) -> Result:
    """Stop it at once, if it runs."""
    return NOTHING_TO_DO if (await delete.stop(work)) is SKIPPED else DONE


async def shut_down(work: Work) -> Result:
    """Ask it to shut down; if it does not within the grace the next step stops it."""
    if not await work.is_running():
        return NOTHING_TO_DO
    api, target, grace = work.cluster.api, work.target, _grace(work)
    deadline = 2 * grace + _SLACK if await ha.is_managed(work) else grace + _ANSWER
    return await _request(
        work, "vzshutdown", lambda: api.shutdown(target.node, target.vmid, grace=grace), deadline=deadline
    )


async def reboot(work: Work) -> Result:
    """Ask it to reboot; a stopped one is started by a later step."""
    if not await work.is_running():
        return Result(message="it was stopped; it is started")
    api, target, grace = work.cluster.api, work.target, _grace(work)
    return await _request(
        work,
        "vzreboot",
        lambda: api.reboot(target.node, target.vmid, grace=grace),
        deadline=2 * grace + _SLACK,
    )


async def stop_after_grace(work: Work) -> Result:
    """Stop it, if it was asked in vain."""
    request = "restart.reboot" if work.step_name == "restart.stop" else "shutdown.ask"
    if not work.facts(PowerFacts, request).in_vain:
        return SKIPPED
    return await delete.stop(work, ends_shutdown=not await ha.is_managed(work))


async def _request(work: Work, kind: str, post: tasks.Post, *, deadline: timedelta) -> Result:
    try:
        await tasks.run(work, kind, post, deadline=deadline)
        if kind == "vzshutdown":
            await ha.until_power(work, Power.STOPPED, deadline=deadline)
    except NotRunning:
        return NOTHING_TO_DO
    except (TaskFailed, TaskTimedOut) as error:
        work.note(PowerFacts(in_vain=True))
        return Result(message=f"it did not listen: {error.message}")
    return DONE


def grace_seconds(args: Args) -> int:
    """Return how long a guest may take to shut down."""
    seconds = args.grace_seconds if isinstance(args, ShutdownArgs) else None
    return GRACE_SECONDS if seconds is None else seconds


def _grace(work: Work) -> timedelta:
    return timedelta(seconds=grace_seconds(work.command.args))
