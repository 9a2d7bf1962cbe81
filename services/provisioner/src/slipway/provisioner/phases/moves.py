"""A container goes to another node of its cluster."""

from datetime import timedelta

from slipway.contracts.problems import FieldError, Rejected
from slipway.provisioner.phases import ha, ownership, power, tasks
from slipway.provisioner.phases.work import DONE, NOTHING_TO_DO, Result, Work
from slipway.proxmox.errors import TaskFailed
from slipway.proxmox.upid import Upid

DEADLINE = timedelta(hours=2)


class NodeUnusable(Rejected):
    """The other node can't take it now."""

    code = "node.unusable"


async def look(work: Work) -> Result:
    """Make sure that it is ours, and that the other node is there."""
    if await _has_arrived(work):
        return Result(message="it is there already")
    await power.look(work)
    wanted = _wanted(work)
    nodes = (await work.cluster.api.resources()).nodes
    online = sorted(node.name for node in nodes if node.status == "online")
    if wanted not in online:
        known = ", ".join(online)
        message = f"Node {wanted!r} is not there or not online. Online are: {known}."
        raise NodeUnusable(message, errors=[FieldError(field="args.target_node", message=message)])
    if await power.is_running(work):
        await work.remember(ran="yes")
        return Result(message="it runs, so it is restarted by the move")
    return DONE


async def move(work: Work) -> Result:
    """Move it, unless it is there; a running one is shut down here and started there."""
    if await _has_arrived(work):
        await _settle(work)
        return NOTHING_TO_DO
    target, wanted = work.target, _wanted(work)
    runs = bool(work.facts("migrate.look").get("ran"))

    async def post() -> Upid:
        return await work.cluster.api.migrate(target.node, target.vmid, wanted, restart=runs)

    try:
        await tasks.run(work, "vzmigrate", post, deadline=DEADLINE)
        await ha.until(work, lambda: _has_arrived(work), deadline=DEADLINE)
    except TaskFailed:
        # The move itself may be done and only the start there have failed: say where it is.
        if await _has_arrived(work):
            await _settle(work)
        raise
    await _settle(work)
    return Result(message=f"it is on {wanted} now")


async def _has_arrived(work: Work) -> bool:
    target, wanted = work.target, _wanted(work)
    if target.node == wanted:
        return True
    there = work.target.model_copy(update={"node": wanted})
    listed = {each.vmid: each.node for each in (await work.cluster.api.resources()).guests}
    if listed.get(target.vmid) != wanted:
        return False
    config = await work.cluster.api.config(there.node, there.vmid)
    return ownership.is_marked(config.description, there)


async def _settle(work: Work) -> None:
    """Write down where it is."""
    await work.story.commit(target=work.target.model_copy(update={"node": _wanted(work)}))


def _wanted(work: Work) -> str:
    return str(work.command.args.target_node)
