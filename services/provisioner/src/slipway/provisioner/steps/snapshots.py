"""Snapshots of a container: taking one, rolling back to it, deleting it."""

from collections.abc import Collection
from datetime import timedelta

from slipway.contracts.job_kinds import SnapshotArgs
from slipway.contracts.problems import Conflict, FieldError, NotFound
from slipway.provisioner.engine.step import DONE, NOTHING_TO_DO, Result
from slipway.provisioner.host import marks, tasks
from slipway.provisioner.host.work import Work
from slipway.provisioner.steps import host_access, power
from slipway.proxmox.errors import SnapshotTaken
from slipway.proxmox.storage_answers import Snapshot

DEADLINE = timedelta(minutes=30)


class SnapshotImpossible(Conflict):
    """The container's storage can't make snapshots."""

    code = "snapshot.impossible"


class SnapshotExists(Conflict):
    """The container has a snapshot of that name already."""

    code = "snapshot.exists"


class SnapshotNotFound(NotFound):
    """The container has no such snapshot."""

    code = "snapshot.not-found"


async def look(work: Work) -> Result:
    """Make sure that it is ours, that the name is free, and that its storage can make snapshots."""
    await power.look(work)
    target = work.target
    refuse_taken(_name(work), await work.cluster.api.snapshots(target.node, target.vmid))
    if not await work.cluster.api.can_snapshot(target.node, target.vmid):
        raise SnapshotImpossible(
            f"The storage of container {target.vmid} can't make snapshots (Proxmox says so); ZFS, LVM-thin, "
            "Ceph and btrfs can."
        )
    return DONE


async def look_for_snapshot(work: Work) -> Result:
    """Make sure that it is ours and has the snapshot, and that the cluster allows what comes back with it."""
    await power.look(work)
    # One that is made or removed just now is not whole.
    listed = await work.cluster.api.snapshots(work.target.node, work.target.vmid)
    names = {each.name for each in listed if each.state is None}
    if _name(work) not in names:
        message = f"There is no snapshot {_name(work)!r}. It has: {', '.join(sorted(names)) or 'none'}."
        raise SnapshotNotFound(message, errors=[FieldError(field="args.snapshot", message=message)])
    target = work.target
    saved = await work.cluster.api.config(target.node, target.vmid, snapshot=_name(work))
    await host_access.refuse_given(work, saved, await work.config())
    return DONE


async def take(work: Work) -> Result:
    """Take a snapshot, or wait for the one that this step has begun."""
    api, target = work.cluster.api, work.target
    note = marks.unix_lines(work.command.args_as(SnapshotArgs).description or "")
    try:
        await tasks.run(
            work,
            "vzsnapshot",
            lambda: api.snapshot(target.node, target.vmid, _name(work), note),
            deadline=DEADLINE,
        )
    except SnapshotTaken:
        # Someone else was quicker: that snapshot is of another moment.
        refuse_taken(_name(work), await api.snapshots(target.node, target.vmid))
        raise
    return DONE


def refuse_taken(name: str, snapshots: Collection[Snapshot]) -> None:
    """Raise `SnapshotExists` if a snapshot has the name. Pure."""
    taken = next((each for each in snapshots if each.name == name), None)
    if taken is None:
        return
    when = f", taken at {taken.time:%Y-%m-%d %H:%M:%S} UTC" if taken.time is not None else ""
    what = "not whole (a task that made or removed it was cut off)" if taken.state else "of another moment"
    message = (
        f"There is a snapshot {name!r} already{when}; it is {what}. Choose another name, or delete that one "
        "first (snapshot-delete)."
    )
    raise SnapshotExists(message, errors=[FieldError(field="args.snapshot", message=message)])


async def roll_back(work: Work) -> Result:
    """Go back to a snapshot; Proxmox leaves the container stopped."""
    api, target = work.cluster.api, work.target
    await tasks.run(
        work, "vzrollback", lambda: api.rollback(target.node, target.vmid, _name(work)), deadline=DEADLINE
    )
    return Result(message="it is stopped now, as Proxmox leaves it")


async def delete(work: Work) -> Result:
    """Delete a snapshot, unless it is gone."""
    api, target = work.cluster.api, work.target
    # Also one that is not whole: that is how a killed task leaves it.
    if _name(work) not in {each.name for each in await api.snapshots(target.node, target.vmid)}:
        return NOTHING_TO_DO
    await tasks.run(
        work,
        "vzdelsnapshot",
        lambda: api.delete_snapshot(target.node, target.vmid, _name(work)),
        deadline=DEADLINE,
    )
    return DONE


def _name(work: Work) -> str:
    return str(work.command.args.values()["snapshot"])
