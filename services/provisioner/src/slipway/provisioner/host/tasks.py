"""Proxmox tasks within a step: begun once, waited for by each owner of the run.

Before the call it is recorded which tasks of its kind the node lists already, after it the UPID. A new owner
waits for the UPID; without one it looks for a task of ours that was not listed then, because the answer may
have been lost. No clock is compared: the node's may be wrong, and so may ours. A task is forgotten only once
it is known to have ended; until then no second one is begun beside it. From the call to the UPID in the
record a cancel has to wait, so that it finds what it has to stop.
"""

import contextlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta

from slipway.contracts.jobs import Target
from slipway.contracts.problems import SlipwayError
from slipway.provisioner.engine.facts import StepFacts, Texts
from slipway.provisioner.engine.journal import finish_despite_cancel
from slipway.provisioner.engine.step import EndAct
from slipway.provisioner.engine.step_log import open_log
from slipway.provisioner.host.work import Work
from slipway.proxmox import tasks
from slipway.proxmox.causes import causes, with_causes
from slipway.proxmox.errors import AccessRefused, TaskFailed, TaskTimedOut
from slipway.proxmox.lines import last_state
from slipway.proxmox.task_answers import LogLine, Task
from slipway.proxmox.upid import Upid
from slipway.runtime.process.clock import now
from slipway.runtime.retry import Deadline

Post = Callable[[], Awaitable[Upid | None]]
"""Begins a task; None if Proxmox did it at once, without one."""
OnText = Callable[[str], Awaitable[None]]
RENEWAL_LASTS_SECONDS = 60.0
"""An access that is refused sooner after it was renewed is really refused."""
CANCEL_DEADLINE = timedelta(seconds=10)
MOST_LISTED = 50
"""How many tasks of one kind on one container are distinguished: the newest."""


class TaskFacts(StepFacts):
    """The task of a step."""

    upid: Upid | None = None
    posted_at: datetime | None = None
    """When the call that begins it was about to be sent."""
    before: Texts = ()
    """Keys of the tasks of its kind that the node listed then."""
    task: str | None = None
    """Its kind: `vzcreate`."""
    task_node: str | None = None
    """The node that runs it, like the next one only if it is not about the job's container."""
    task_vmid: int | None = None
    log_base: int = 0
    """The offset of the step's log at which the task's own log begins."""


NO_TASK = TaskFacts(upid=None, posted_at=None, before=())
"""Facts of a step that has no task any more."""


async def run(
    work: Work,
    kind: str,
    post: Post,
    *,
    deadline: timedelta,
    of: Target | None = None,
    on_text: OnText | None = None,
    **changes: object,
) -> None:
    """Run a task to its end, relaying its log; a task that this step began before is taken up.

    Args:
        work: the run.
        kind: Proxmox's word for such a task: `vzcreate`, `vzstart`.
        post: begins the task.
        deadline: how long at most.
        of: whose task it is, if not the job's container's: its node runs it.
        on_text: gets each line of its log, to say how far it is.
        changes: of the record, written before the task is begun.
    """
    facts = work.facts(TaskFacts)
    upid = facts.upid
    if upid is None and facts.posted_at:
        task = await begun(work, kind, of=of)
        if task is not None:
            upid = task.upid
            await adopt(work, upid)
    if upid is None:
        upid = await finish_despite_cancel(_begin(work, kind, post, of, changes))
    if upid is None:
        return
    try:
        await _wait(work, upid, deadline, on_text)
    except SlipwayError as error:
        if _is_end_of(error, upid):
            # What is tried next begins a task of its own.
            await work.remember(NO_TASK)
        if type(error) is TaskFailed:
            raise TaskFailed(with_causes(error.message, await _lines(work, upid)), upid=upid) from error
        raise


async def adopt(work: Work, upid: Upid) -> None:
    """Store the task that is waited for; its lines count from the last line of the step's former one."""
    await work.remember(TaskFacts(upid=upid, log_base=(await work.log_context()).offset))


async def cancel(work: Work, end_act: EndAct) -> None:
    """Stop the running step's task, and wait until it has ended; one whose answer was lost is looked for."""
    await end_act()
    facts = work.facts(TaskFacts)
    upid = facts.upid
    if upid is None and facts.posted_at and facts.task:
        upid = await _lost(work, facts, facts.task)
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


async def newest(work: Work, *kinds: str) -> Task | None:
    """Return the newest task of these kinds on the job's container; None if Slipway did not begin it."""
    task = next(iter(await _new(work, kinds, None)), None)
    return task if task is not None and _is_ours(work, task) else None


async def begun(work: Work, kind: str, *, of: Target | None = None) -> Task | None:
    """Return the newest task of ours of a kind on a container, by default the job's.

    Once the running step has called, it is the one that the call began: those listed before do not count.
    """
    return next((task for task in await _new(work, [kind], of) if _is_ours(work, task)), None)


async def _new(work: Work, kinds: Collection[str], of: Target | None) -> Sequence[Task]:
    facts = work.facts(TaskFacts)
    before = facts.before if facts.posted_at else ()
    return [task for task in await _listed(work, kinds, of) if _key(task.upid) not in before]


async def _listed(work: Work, kinds: Collection[str], of: Target | None) -> Sequence[Task]:
    """List the node's tasks of these kinds on a container, newest first."""
    target = of or work.target
    kind = next(iter(kinds)) if len(kinds) == 1 else None
    # A task about no container is listed under no VMID.
    listed = await work.cluster.api.tasks(target.node, vmid=target.vmid or None, typefilter=kind)
    return [task for task in listed if task.type in kinds][:MOST_LISTED]


async def _lines(work: Work, upid: Upid) -> Sequence[str]:
    """Return the end of a task's log: this owner's lines, or all of it if a former owner logged the rest."""
    if causes(work.journal.last_lines):
        return tuple(work.journal.last_lines)
    with contextlib.suppress(SlipwayError):
        return [line.text for line in await work.cluster.api.task_log(upid)]
    return ()


def _is_ours(work: Work, task: Task) -> bool:
    """Return whether Slipway began it: the list shows user and token apart, the UPID names both."""
    api = work.cluster.access.api
    return task.upid.user in {api.token_id, api.username}


def _key(upid: Upid) -> str:
    """Return a short key that is unique on the node: process, its start, time."""
    return ":".join(upid.split(":")[2:5])


async def _begin(
    work: Work, kind: str, post: Post, of: Target | None, changes: dict[str, object]
) -> Upid | None:
    facts = [TaskFacts(task=kind)]
    if of is not None:
        facts.append(TaskFacts(task_node=of.node, task_vmid=of.vmid))
    if not work.facts(TaskFacts).posted_at:
        # After a lost answer the first list stays: the task that the call began may be listed only now.
        listed = tuple(_key(task.upid) for task in await _listed(work, [kind], of))
        facts.append(TaskFacts(posted_at=now(), before=listed))
    await work.journal.commit(steps=work.steps_with(*facts), **changes)
    upid = await post()
    if upid is not None:
        await adopt(work, upid)
    return upid


async def _lost(work: Work, facts: TaskFacts, kind: str) -> Upid | None:
    """Return the running task that was begun and whose UPID never came."""
    target = work.target
    place = {"node": facts.task_node or target.node, "vmid": facts.task_vmid or target.vmid}
    task = await begun(work, kind, of=target.model_copy(update=place))
    return task.upid if task is not None and task.is_running else None


def _is_end_of(error: SlipwayError, upid: Upid) -> bool:
    """Return whether an error is the end of that very task, not of the connection to it."""
    return error.details.get("upid") == upid and not isinstance(error, TaskTimedOut)


async def _wait(work: Work, upid: Upid, deadline: timedelta, on_text: OnText | None) -> None:
    base, ends = work.facts(TaskFacts).log_base, Deadline(deadline.total_seconds())
    async with open_log(work.journal, await work.log_context()) as log:

        async def relay(line: LogLine) -> None:
            if line.text and not line.text.startswith("TASK "):
                await log.add("task", last_state(line.text), base + line.number)
                if on_text is not None:
                    await on_text(line.text)

        renewal: Deadline | None = None
        while True:
            left = timedelta(seconds=ends.left_seconds)
            try:
                return await tasks.wait(
                    work.cluster.api, upid, deadline=left, on_log=relay, from_line=log.offset - base
                )
            except AccessRefused:
                # A token may be replaced while a backup runs.
                if renewal is not None and not renewal.has_passed:
                    raise
                renewal = Deadline(RENEWAL_LASTS_SECONDS)
                await work.renew_access()
