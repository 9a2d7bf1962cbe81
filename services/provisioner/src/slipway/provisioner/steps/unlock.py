"""A lock that no running task holds is taken away, over SSH: the API can't."""

from slipway.contracts.problems import Conflict
from slipway.provisioner.host import locks, ownership
from slipway.provisioner.steps import power
from slipway.provisioner.steps.work import DONE, NOTHING_TO_DO, Result, Work


class LockHeld(Conflict):
    """A running task holds the lock: taken away, two would work on the container at once."""

    code = "container.lock-held"


class Remainder(Conflict):
    """There is no whole container behind the lock."""

    code = "container.remainder"


async def look(work: Work) -> Result:
    """Make sure that it is ours, and that no running task holds its lock."""
    await power.look(work)
    if ownership.is_remainder(await ownership.look(work)):
        raise Remainder(
            f"What is locked as {work.target.vmid} was left by a creation or copy that was killed; nobody "
            "can use it. Delete the container instead: that clears it away.",
            vmid=work.target.vmid,
        )
    lock = await _lock(work)
    return Result(message=lock.words if lock else "it is not locked")


async def unlock(work: Work) -> Result:
    """Take the lock away."""
    lock = await _lock(work)
    if lock is None:
        return NOTHING_TO_DO
    await work.pct.unlock(work.target.vmid)
    return DONE


async def _lock(work: Work) -> locks.Lock | None:
    """Give the lock; refuse one that passes by itself."""
    lock = await locks.find(work)
    if lock is not None and lock.holder is not None:
        raise LockHeld(
            f"{lock.words} Wait for its end, or stop that task; jobs wait for it by themselves.",
            vmid=lock.target.vmid,
            lock=lock.name,
            upid=lock.holder.upid,
        )
    return lock
