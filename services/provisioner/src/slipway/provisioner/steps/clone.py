"""A copy of a container; a running one is copied from a snapshot that is made for it."""

from datetime import timedelta

from slipway.contracts.job_kinds import CloneArgs
from slipway.contracts.jobs import Target
from slipway.contracts.problems import Conflict
from slipway.provisioner.engine.facts import StepFacts
from slipway.provisioner.engine.step import DONE, SKIPPED, Result
from slipway.provisioner.host import marks, ownership, tasks
from slipway.provisioner.host.work import Work
from slipway.provisioner.steps import create, host_access
from slipway.provisioner.steps.snapshots import DEADLINE as SNAPSHOT_DEADLINE
from slipway.provisioner.steps.snapshots import SnapshotImpossible
from slipway.proxmox.answers import ContainerConfig
from slipway.proxmox.errors import ContainerMissing, SnapshotTaken, TaskLost, VmidTaken
from slipway.proxmox.host_config import without_mark
from slipway.proxmox.upid import Upid

DEADLINE = timedelta(hours=2)


class CloneFacts(StepFacts):
    """What is copied."""

    snapshot: str | None = None
    """The snapshot that is made for the copy; none if it needs none."""


class SourceGone(Conflict):
    """The container to copy is gone, or is another one now."""

    code = "clone.source-gone"


async def look(work: Work) -> Result:
    """Make sure that the source is ours and may be had twice, and find out from what it can be copied."""
    source, api = _source(work), work.cluster.api
    try:
        config = await work.config(source)
    except ContainerMissing as error:
        raise SourceGone(f"There is no container {source.vmid} on {source.node} any more.") from error
    if not marks.is_marked(config, source):
        raise SourceGone(
            f"Container {source.vmid} on {source.node} does not carry {source.hostname}'s mark: it is "
            "another one now, and is not copied."
        )
    snapshot = work.command.args_as(CloneArgs).snapshot
    copied = await api.config(source.node, source.vmid, snapshot=snapshot) if snapshot else config
    await host_access.refuse_given(work, copied)
    if snapshot or not await work.is_running(source):
        return DONE
    if not await api.can_snapshot(source.node, source.vmid):
        raise SnapshotImpossible(
            f"Container {source.vmid} runs, and its storage can't make snapshots: Proxmox can copy it only "
            "while it is stopped. Stop it and clone again."
        )
    work.note(CloneFacts(snapshot=f"slipway-{work.command.job[-12:]}"))
    return Result(message="it runs, so a snapshot is copied")


async def take_snapshot(work: Work) -> Result:
    """Take the snapshot to copy from, if one is needed."""
    name, source, api = _own_snapshot(work), _source(work), work.cluster.api
    if name is None:
        return SKIPPED
    try:
        await tasks.run(
            work,
            "vzsnapshot",
            lambda: api.snapshot(source.node, source.vmid, name, "for a copy"),
            deadline=SNAPSHOT_DEADLINE,
            of=source,
        )
    except SnapshotTaken:
        return Result(message="it is there already")
    return Result(message=name)


async def copy(work: Work) -> Result:
    """Copy it, unless a former owner of this run did; a VMID that someone took is replaced."""
    for _ in range(create.REPLACEMENTS):
        try:
            return await _copy_or_find(work)
        except VmidTaken:
            await create.replace_vmid(work)
    raise VmidTaken(f"{create.REPLACEMENTS} VMIDs in a row were taken by others.")


async def delete_snapshot(work: Work) -> Result:
    """Remove the snapshot again."""
    name, source, api = _own_snapshot(work), _source(work), work.cluster.api
    if name is None:
        return SKIPPED
    if name not in {each.name for each in await api.snapshots(source.node, source.vmid)}:
        return Result(message="it is gone already")
    await tasks.run(
        work,
        "vzdelsnapshot",
        lambda: api.delete_snapshot(source.node, source.vmid, name),
        deadline=SNAPSHOT_DEADLINE,
        of=source,
    )
    return DONE


async def mark(work: Work) -> Result:
    """Make sure that the copy carries our mark, and its own name."""
    hostname = work.target.hostname
    await ownership.stamp(work)
    await ownership.rewrite(
        work, lambda config: {"hostname": hostname} if config.hostname != hostname else {}
    )
    return DONE


async def _copy_or_find(work: Work) -> Result:
    if not work.facts(tasks.TaskFacts).upid:
        match await ownership.look(work):
            case ownership.Ours(config) if config.lock != "create":
                await work.journal.commit(exists_on_host=True)
                return Result(message="it exists already")
            case ownership.Ours(config):
                await _take_up(work, config)
            case ownership.Missing():
                # Until its task ends, a copy for another node is on the source's.
                pass
            case ownership.HalfCleared():
                await ownership.clear(work)
            case _:
                raise VmidTaken(f"VMID {work.target.vmid} belongs to someone else.", vmid=work.target.vmid)
    source = _source(work)
    try:
        await tasks.run(
            work, "vzclone", lambda: _post(work, source), deadline=DEADLINE, of=source, exists_on_host=True
        )
    except TaskLost:
        if not await _is_whole(work):
            raise
    except VmidTaken:
        # Perhaps by a call of ours whose answer was lost: it may have arrived after all.
        if isinstance(await ownership.look(work), ownership.Ours):
            return await _copy_or_find(work)
        raise
    return DONE


async def _take_up(work: Work, config: ContainerConfig) -> None:
    """Wait for a copy that was begun, or clear away what a killed one left."""
    task = await tasks.begun(work, "vzclone", of=_source(work))
    if task is not None and task.is_running:
        await tasks.adopt(work, task.upid)
    elif config.rootfs is None:
        await ownership.clear(work)


async def _is_whole(work: Work) -> bool:
    """Return whether a copy whose task was lost is there; clear away the remainder of a killed one."""
    for node in dict.fromkeys((work.target.node, _source(work).node)):
        try:
            config = await work.cluster.api.config(node, work.target.vmid)
        except ContainerMissing:
            continue
        if not marks.is_marked(config, work.target):
            return False
        if config.lock == "create":
            await ownership.clear(work, node=node)
            return False
        return node == work.target.node
    return False


async def _post(work: Work, source: Target) -> Upid:
    args, target = work.command.args_as(CloneArgs), work.target
    notes = without_mark((await work.config(source)).description)
    return await work.cluster.api.clone(
        source.node,
        source.vmid,
        target.vmid,
        hostname=target.hostname,
        description=marks.notes(notes, target, work.command.job, mac=None),
        storage=args.storage,
        pool=work.spec.pool,
        snapname=args.snapshot or _own_snapshot(work),
        target=target.node if target.node != source.node else None,
    )


def _own_snapshot(work: Work) -> str | None:
    return work.facts(CloneFacts, "clone.look").snapshot


def _source(work: Work) -> Target:
    if work.command.source is None:
        raise SourceGone("The job does not say what to copy.")
    return work.command.source
