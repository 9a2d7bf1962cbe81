"""Snapshots of a container: taken, gone back to, deleted."""

from collections.abc import Collection
from datetime import timedelta

from slipway.contracts.job_kinds import SnapshotArgs
from slipway.contracts.problems import Conflict, FieldError, NotFound
from slipway.provisioner.host import tasks
from slipway.provisioner.steps import power
from slipway.provisioner.steps.work import DONE, NOTHING_TO_DO, Result, Work
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
    if not await work.cluster.api.feature(target.node, target.vmid, "snapshot"):
        raise SnapshotImpossible(
            f"The storage of container {target.vmid} can't make snapshots (Proxmox says so); ZFS, LVM-thin, "
            "Ceph and btrfs can."
        )
    return DONE


async def look_for_it(work: Work) -> Result:
    """Make sure that it is ours and has the snapshot."""
    await power.look(work)
    names = await _names(work)
    if _name(work) not in names:
        known = ", ".join(sorted(names)) or "none"
        message = f"There is no snapshot {_name(work)!r}. It has: {known}."
        raise SnapshotNotFound(message, errors=[FieldError(field="args.snapshot", message=message)])
    return DONE


async def take(work: Work) -> Result:
    """Take a snapshot; one that this step has begun is waited for."""
    api, target = work.cluster.api, work.target
    note = work.command.args_as(SnapshotArgs).description or ""
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


def refuse_taken(name: str, there: Collection[Snapshot]) -> None:
    """Raise `SnapshotExists` if a snapshot has the name. Pure."""
    found = next((each for each in there if each.name == name), None)
    if found is None:
        return
    when = f", taken at {found.time:%Y-%m-%d %H:%M:%S} UTC" if found.time is not None else ""
    what = "not whole (a task that made or removed it was cut off)" if found.state else "of another moment"
    message = (
        f"There is a snapshot {name!r} already{when}; it is {what}. Choose another name, or delete that one "
        "first (snapshot-delete)."
    )
    raise SnapshotExists(message, errors=[FieldError(field="args.snapshot", message=message)])


async def go_back(work: Work) -> Result:
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


async def _names(work: Work) -> set[str]:
    """Name the snapshots that are whole."""
    found = await work.cluster.api.snapshots(work.target.node, work.target.vmid)
    return {each.name for each in found if each.state is None}


def _name(work: Work) -> str:
    return str(work.command.args.values()["snapshot"])
