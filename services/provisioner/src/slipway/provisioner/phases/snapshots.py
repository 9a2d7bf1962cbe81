"""Snapshots of a container: taken, gone back to, deleted."""

from datetime import timedelta

from slipway.contracts.problems import Conflict, FieldError, NotFound
from slipway.provisioner.phases import power, tasks
from slipway.provisioner.phases.work import DONE, NOTHING_TO_DO, Result, Work
from slipway.proxmox.errors import SnapshotTaken

DEADLINE = timedelta(minutes=30)


class SnapshotImpossible(Conflict):
    """The container's storage can't make snapshots."""

    code = "snapshot.impossible"


class SnapshotNotFound(NotFound):
    """The container has no such snapshot."""

    code = "snapshot.not-found"


async def look(work: Work) -> Result:
    """Make sure that it is ours, and that its storage can make snapshots."""
    await power.look(work)
    target = work.target
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
    """Take a snapshot, unless one of that name is there."""
    # One that this step began is waited for: Proxmox lists a snapshot before it is whole.
    if not work.facts().get("posted_at") and _name(work) in await _names(work):
        return NOTHING_TO_DO
    api, target = work.cluster.api, work.target
    note = work.command.args.description or ""
    try:
        await tasks.run(
            work,
            "vzsnapshot",
            lambda: api.snapshot(target.node, target.vmid, _name(work), note),
            deadline=DEADLINE,
        )
    except SnapshotTaken:
        if _name(work) not in await _names(work):
            raise
    return DONE


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
    return str(work.command.args.snapshot)
