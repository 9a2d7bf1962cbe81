"""Proxmox tasks within a step: begun once, waited for by whoever owns the run.

Before the call its time is recorded, after it the UPID. A new owner waits for the UPID; without one it looks
for a task of ours that began since, because the answer may have been lost.
"""

import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from slipway.contracts.jobs import Target
from slipway.contracts.problems import SlipwayError
from slipway.provisioner.phases.work import Work
from slipway.provisioner.progress import logging
from slipway.proxmox import tasks
from slipway.proxmox.errors import TaskTimedOut
from slipway.proxmox.task_answers import LogLine, Task
from slipway.proxmox.upid import Upid
from slipway.runtime.clock import now

Post = Callable[[], Awaitable[Upid | None]]
"""Begins a task; None if Proxmox did it at once, without one."""
CANCEL_DEADLINE = timedelta(seconds=10)
SKEW = timedelta(seconds=30)
"""How far the node's clock may be behind ours."""
ADOPTED_SKEW = timedelta(seconds=2)
"""The same, where an older task of ours would be taken for the one that was just begun. One that is missed is
begun again, and finds its goal reached."""


async def run(
    work: Work, kind: str, post: Post, *, deadline: timedelta, of: Target | None = None, **changes: object
) -> None:
    """Run a task to its end, relaying its log; a task that this step began before is taken up.

    Args:
        work: the run.
        kind: Proxmox's word for such a task: `vzcreate`, `vzstart`.
        post: begins the task.
        deadline: how long at most.
        of: whose task it is, if not the job's container's: its node runs it.
        changes: of the record, written before the task is begun.
    """
    facts = work.facts()
    upid = Upid(facts["upid"]) if facts.get("upid") else None
    if upid is None and facts.get("posted_at"):
        known = await find(work, kind, datetime.fromisoformat(facts["posted_at"]), skew=ADOPTED_SKEW, of=of)
        upid = known.upid if known else None
        if upid is not None:
            await adopt(work, upid)
    if upid is None:
        posted = work.with_facts(posted_at=now().isoformat())
        await work.story.commit(steps=posted, **changes)
        upid = await post()
        if upid is None:
            return
        await adopt(work, upid)
    try:
        await _wait(work, upid, deadline)
    except TaskTimedOut:
        raise
    except SlipwayError:
        # What is tried next begins a task of its own.
        await work.remember(upid="", posted_at="")
        raise


async def adopt(work: Work, upid: Upid) -> None:
    """Keep which task is waited for; its lines are counted on from those of a former task of this step."""
    heading = await work.heading()
    await work.remember(upid=str(upid), log_base=str(heading.offset))


async def cancel(work: Work) -> None:
    """Stop the running step's task, and wait until it has ended."""
    upid = work.facts().get("upid")
    if not upid:
        return
    api = work.cluster.api
    await api.stop_task(Upid(upid))
    # It ends as a failure, of course; what matters is that it ends.
    with contextlib.suppress(SlipwayError):
        await tasks.wait(api, Upid(upid), deadline=CANCEL_DEADLINE)


async def find(
    work: Work, kind: str, since: datetime, *, skew: timedelta = SKEW, of: Target | None = None
) -> Task | None:
    """Give the newest task of ours of that kind on a container, the job's unless told; or None."""
    api, target = work.cluster.access.api, of or work.target
    found = await work.cluster.api.tasks(target.node, vmid=target.vmid, typefilter=kind, since=since - skew)
    ours = {api.token_id, api.username}
    # The list shows user and token apart; the UPID names both.
    return next((task for task in found if task.upid.user in ours), None)


async def _wait(work: Work, upid: Upid, deadline: timedelta) -> None:
    heading = await work.heading()
    base = int(work.facts().get("log_base") or 0)
    async with logging(work.story, heading) as log:

        async def relay(line: LogLine) -> None:
            if line.text and not line.text.startswith("TASK "):
                await log.add("task", line.text, base + line.number)

        await tasks.wait(
            work.cluster.api, upid, deadline=deadline, on_log=relay, from_line=heading.offset - base
        )
