"""Removing a lock that no running task holds, over SSH: the API can't."""

from slipway.contracts.problems import Conflict
from slipway.provisioner.engine.step import DONE, NOTHING_TO_DO, Result
from slipway.provisioner.host import locks, ownership
from slipway.provisioner.host.work import Work
from slipway.provisioner.steps import power


class LockHeld(Conflict):
    """A running task holds the lock: without it, two tasks would work on the container at once."""

    code = "container.lock-held"


class Remainder(Conflict):
    """There is no whole container behind the lock."""

    code = "container.remainder"


async def look(work: Work) -> Result:
    """Make sure that it is ours, and that no running task holds its lock."""
    await power.look(work)
    if ownership.is_remainder(await ownership.look(work)):
        raise Remainder(
            f"The locked container {work.target.vmid} is the remainder of a killed creation or copy; "
            "nobody can use it. Delete the container instead: that clears it away.",
            vmid=work.target.vmid,
        )
    lock = await _lock(work)
    return Result(message=lock.description if lock else "it is not locked")


async def unlock(work: Work) -> Result:
    """Remove the lock."""
    lock = await _lock(work)
    if lock is None:
        return NOTHING_TO_DO
    await work.pct.unlock(work.target.vmid)
    return DONE


async def _lock(work: Work) -> locks.Lock | None:
    """Return the lock; refuse one that passes by itself."""
    lock = await locks.find(work)
    if lock is not None and lock.holder is not None:
        raise LockHeld(
            f"{lock.description} Wait for its end, or stop that task; jobs wait for it by themselves.",
            vmid=lock.target.vmid,
            lock=lock.name,
            upid=lock.holder.upid,
        )
    return lock
