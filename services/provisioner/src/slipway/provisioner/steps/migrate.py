"""The move of a container to another node of its cluster.

A move that was begun is waited for, also by a later owner of the run, and also when the container has arrived
meanwhile: until its task ends it is locked, and a container that ran does not run yet.
"""

from datetime import timedelta

from slipway.contracts.job_kinds import MigrateArgs
from slipway.contracts.problems import Failed, FieldError, Rejected
from slipway.provisioner.engine.step import DONE, NOTHING_TO_DO, Result
from slipway.provisioner.host import ha, marks, tasks
from slipway.provisioner.host.work import Work
from slipway.provisioner.steps import power
from slipway.provisioner.steps.power import PowerFacts
from slipway.proxmox.errors import TaskFailed
from slipway.proxmox.upid import Upid

DEADLINE = timedelta(hours=2)


class NodeUnusable(Rejected):
    """The other node can't take it now."""

    code = "node.unusable"


class MoveFailed(Failed):
    """Proxmox could not move it."""

    code = "container.move-failed"


async def look(work: Work) -> Result:
    """Make sure that it is ours, and that the other node is there."""
    if await _has_arrived(work):
        return Result(message="it is there already")
    await power.look(work)
    destination = _destination(work)
    nodes = (await work.cluster.api.resources()).nodes
    online = sorted(node.name for node in nodes if node.status == "online")
    if destination not in online:
        raise _unusable(
            "target_node",
            f"Node {destination!r} is not there or not online. Online are: {', '.join(online)}.",
        )
    await _refuse_local_volumes(work)
    if await work.is_running():
        work.note(PowerFacts(ran=True))
        return Result(message="it runs, so it is restarted by the move")
    return DONE


async def move(work: Work) -> Result:
    """Move it, unless it is there; a running one is shut down here and started there."""
    target, destination = work.target, _destination(work)
    if not work.facts(tasks.TaskFacts).posted_at and await _has_arrived(work):
        await _settle(work)
        return NOTHING_TO_DO
    ran = work.facts(PowerFacts, "migrate.look").ran

    async def post() -> Upid | None:
        if await _has_arrived(work):
            return None
        storage = work.command.args_as(MigrateArgs).storage
        return await work.cluster.api.migrate(
            target.node, target.vmid, destination, restart=ran, storage=storage
        )

    try:
        await tasks.run(work, "vzmigrate", post, deadline=DEADLINE)
        await ha.until(work, lambda: _has_arrived(work), deadline=DEADLINE)
    except TaskFailed as error:
        # The move itself may be done and only the start there have failed: say where it is.
        is_there = await _has_arrived(work)
        if is_there:
            await _settle(work)
        node = destination if is_there else target.node
        message = f"The move failed, the container is on {node}: {error.message}"
        raise MoveFailed(message, upid=error.upid) from error
    await _settle(work)
    return Result(message=f"it is on {destination} now")


async def _refuse_local_volumes(work: Work) -> None:
    """Refuse a container with disks or folders that the other node would not have."""
    api, target, destination = work.cluster.api, work.target, _destination(work)
    storage = work.command.args_as(MigrateArgs).storage
    if storage is not None and await ha.is_managed(work):
        raise _unusable("storage", "HA moves it, and takes no storage: leave it out, or take it out of HA.")
    shared = {each.name for each in await api.storages(target.node) if each.shared} if storage else set()
    able = {each.name for each in await api.storages(destination, content="rootdir") if each.active}
    has = ", ".join(sorted(able)) or "none"
    for name, part in sorted((await work.config()).mounts.items()):
        volume = part.get("volume", "")
        now = volume.partition(":")[0]
        goes_to = now if storage is None or now in shared else storage
        if volume.startswith("/") and part.get("shared") != "1":
            raise _unusable(
                "target_node",
                f"{name} is {volume} of node {target.node} itself, which {destination} does not have.",
            )
        if not volume.startswith("/") and goes_to not in able:
            verb, field = ("is", "target_node") if goes_to == now else ("shall be", "storage")
            problem = f"{name} {verb} on storage {goes_to!r}, which {destination} does not have"
            raise _unusable(field, f"{problem}. For disks it has: {has}.")


def _unusable(field: str, message: str) -> NodeUnusable:
    return NodeUnusable(message, errors=[FieldError(field=f"args.{field}", message=message)])


async def _has_arrived(work: Work) -> bool:
    target, destination = work.target, _destination(work)
    if target.node == destination:
        return True
    listed = {each.vmid: each.node for each in (await work.cluster.api.resources()).guests}
    if listed.get(target.vmid) != destination:
        return False
    moved = target.model_copy(update={"node": destination})
    return marks.is_marked(await work.config(moved), moved)


async def _settle(work: Work) -> None:
    """Record where it is."""
    await work.journal.commit(target=work.target.model_copy(update={"node": _destination(work)}))


def _destination(work: Work) -> str:
    return work.command.args_as(MigrateArgs).target_node
