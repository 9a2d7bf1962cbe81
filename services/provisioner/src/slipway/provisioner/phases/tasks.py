"""Proxmox tasks within a step: begun once, waited for by whoever owns the run.

Before the call its time is recorded, after it the UPID. A new owner waits for the UPID; without one it looks
for a task of ours that began since, because the answer may have been lost. A task is forgotten only once it
is known to have ended; until then no second one is begun beside it. From the call to the UPID in the record a
cancel has to wait, so that it finds what it has to stop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from slipway.contracts.jobs import Target
from slipway.contracts.problems import SlipwayError
from slipway.provisioner.phases.work import Work
from slipway.provisioner.progress import logging, unbroken
from slipway.proxmox import tasks
from slipway.proxmox.errors import AccessRefused, TaskTimedOut
from slipway.proxmox.task_answers import LogLine, Task
from slipway.proxmox.upid import Upid
from slipway.runtime.clock import now

FORGOTTEN: Mapping[str, str] = MappingProxyType({"upid": "", "posted_at": ""})
"""What a step knows of its task when it has none."""
PASSING = frozenset({*FORGOTTEN, "log_base", "task", "task_node", "task_vmid", "clearing"})
"""What a step keeps of what it has under way: nothing for another job."""
Post = Callable[[], Awaitable[Upid | None]]
"""Begins a task; None if Proxmox did it at once, without one."""
RENEWAL_LASTS_SECONDS = 60.0
"""An access that is refused sooner after it was renewed is really refused."""
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
        upid = await unbroken(_begin(work, kind, post, of, changes))
    if upid is None:
        return
    try:
        await _wait(work, upid, deadline)
    except SlipwayError as error:
        if _is_end_of(error, upid):
            # What is tried next begins a task of its own.
            await work.remember(**FORGOTTEN)
        raise


async def adopt(work: Work, upid: Upid) -> None:
    """Keep which task is waited for; its lines are counted on from those of a former task of this step."""
    heading = await work.heading()
    await work.remember(upid=str(upid), log_base=str(heading.offset))


async def cancel(work: Work) -> None:
    """Stop the running step's task, and wait until it has ended; one whose answer was lost is looked for."""
    facts = work.facts()
    upid = Upid(facts["upid"]) if facts.get("upid") else None
    if upid is None and facts.get("posted_at") and facts.get("task"):
        upid = await _lost(work, facts)
    if upid is not None:
        await stop(work, upid)


async def stop(work: Work, upid: Upid) -> None:
    """Stop a task, and wait until it has ended."""
    api = work.cluster.api
    await api.stop_task(upid)
    try:
        await tasks.wait(api, upid, deadline=CANCEL_DEADLINE)
    except SlipwayError as error:
        # It ends as a failure, of course; what matters is that it ends.
        if not _is_end_of(error, upid):
            raise


async def find(
    work: Work, kind: str, since: datetime, *, skew: timedelta = SKEW, of: Target | None = None
) -> Task | None:
    """Give the newest task of ours of that kind on a container, the job's unless told; or None."""
    api, target = work.cluster.access.api, of or work.target
    found = await work.cluster.api.tasks(target.node, vmid=target.vmid, typefilter=kind, since=since - skew)
    ours = {api.token_id, api.username}
    # The list shows user and token apart; the UPID names both.
    return next((task for task in found if task.upid.user in ours), None)


async def _begin(
    work: Work, kind: str, post: Post, of: Target | None, changes: Mapping[str, object]
) -> Upid | None:
    place = {"task_node": of.node, "task_vmid": str(of.vmid)} if of is not None else {}
    posted = work.with_facts(posted_at=now().isoformat(), task=kind, **place)
    await work.story.commit(steps=posted, **changes)
    upid = await post()
    if upid is not None:
        await adopt(work, upid)
    return upid


async def _lost(work: Work, facts: Mapping[str, str]) -> Upid | None:
    """Give the running task that was begun and whose UPID never came."""
    target = work.target
    place = {"node": facts.get("task_node", target.node), "vmid": int(facts.get("task_vmid", target.vmid))}
    of = target.model_copy(update=place)
    known = await find(work, facts["task"], datetime.fromisoformat(facts["posted_at"]), of=of)
    return known.upid if known is not None and known.is_running else None


def _is_end_of(error: SlipwayError, upid: Upid) -> bool:
    """Whether an error is the end of that very task, not of the way to it."""
    return error.details.get("upid") == upid and not isinstance(error, TaskTimedOut)


async def _wait(work: Work, upid: Upid, deadline: timedelta) -> None:
    heading = await work.heading()
    base = int(work.facts().get("log_base") or 0)
    loop = asyncio.get_running_loop()
    ends = loop.time() + deadline.total_seconds()
    async with logging(work.story, heading) as log:

        async def relay(line: LogLine) -> None:
            if line.text and not line.text.startswith("TASK "):
                await log.add("task", line.text, base + line.number)

        refused_at = loop.time() - RENEWAL_LASTS_SECONDS
        while True:
            try:
                await tasks.wait(
                    work.cluster.api,
                    upid,
                    deadline=timedelta(seconds=ends - loop.time()),
                    on_log=relay,
                    from_line=log.offset - base,
                )
            except AccessRefused:
                # A token is changed while a backup runs; what was just renewed and is refused stays so.
                if loop.time() - refused_at < RENEWAL_LASTS_SECONDS:
                    raise
                refused_at = loop.time()
                await work.renew_access()
            else:
                return
