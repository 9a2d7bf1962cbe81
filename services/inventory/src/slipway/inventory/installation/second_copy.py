"""Notices that somebody else acts with this installation's token, and pauses this one.

Theory of operation. Monitor reads the cluster's task list once a minute, and shows in its looks the tasks on
containers that were started with Slipway's own token. Each that is seen for the first time must belong to a
job of ours on that container, which runs or has ended since shortly before the list was read last. If there
is none, another live copy (a restored one, or the one that this was restored from) has started it.

Guarantees. A task of a job of ours never pauses it: nothing is compared by a clock of a node. Non-guarantees.
What the other copy does before it is noticed is done, a minute of it; a task is missed if it works on the
same container as a job of ours, or began while this process did not run. Both copies may pause.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta
from functools import partial

from sqlalchemy import ColumnElement, Integer, and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.cluster_facts import ClusterLook, OwnTask
from slipway.contracts.installation import InstallationState, PauseCause
from slipway.contracts.message import Id, Moment
from slipway.inventory.decision import AuditNote, Decision
from slipway.inventory.installation.gate import Gate
from slipway.inventory.installation.rules import SECOND_COPY, second_copy_reason
from slipway.inventory.installation.store import baseline, installation_of, installation_row, pause, say_more
from slipway.inventory.tables import ACTIVE, MAKING, containers, jobs, vmid_replacements
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import current
from slipway.runtime.process.clock import now
from slipway.runtime.process.logs import get_logger

log = get_logger()

MARGIN = timedelta(minutes=5)
"""How long before the last reading a job may have ended whose task is seen now: lists lag, clocks differ."""


class SecondCopy:
    """Judges the tasks of each look."""

    def __init__(self, unit: UnitOfWork, gate: Gate) -> None:
        self._unit = unit
        self._gate = gate
        self._judged: dict[Id, ClusterLook] = {}
        self._newest: dict[Id, ClusterLook] = {}
        self._arrived = asyncio.Event()

    def note(self, look: ClusterLook) -> None:
        """Take a look; it is judged in the background."""
        self._newest[look.cluster] = look
        self._arrived.set()

    async def run(self) -> None:
        """Judge until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            for look in tuple(self._newest.values()):
                await self.judge(look)

    async def judge(self, look: ClusterLook) -> None:
        """Pause this installation if one of the tasks that came anew is nobody's here."""
        before = self._judged.get(look.cluster)
        if look.tasks_at is None or (before is not None and before.tasks_at == look.tasks_at):
            return
        if before is not None and before.tasks_at is not None:
            # What is seen first after a start may be of a job that is not stored any more.
            await self._compare(look, {each.upid for each in before.tasks}, since=before.tasks_at - MARGIN)
        self._judged[look.cluster] = look

    async def _compare(self, look: ClusterLook, known: Collection[str], *, since: Moment) -> None:
        for task in (each for each in look.tasks if each.upid not in known):
            async with self._unit.database.autocommit() as tx:
                is_ours = await tx.scalar(select(exists().where(*_job_of(look.cluster, task, since))))
            if not is_ours:
                log.error("task of another live copy", cluster=look.cluster, upid=task.upid)
                await self._unit.run(current(), partial(_decide_pause, task=task))
                await self._gate.load()
                return


async def _decide_pause(tx: AsyncConnection, *, task: OwnTask) -> Decision[None]:
    """Pause; one that is paused already says this once beside its own reason."""
    row = await installation_row(tx, for_update=True)
    installation, reason = installation_of(row), second_copy_reason(task)
    if installation.state is InstallationState.ACTIVE:
        write = pause(cause=PauseCause.SECOND_COPY, reason=reason, at=now(), baseline=await baseline(tx))
    elif SECOND_COPY in (installation.reason or ""):
        return Decision(reply=None)
    else:
        write = say_more(f"{installation.reason} {reason}")
    details = {"upid": task.upid, "reason": reason}
    note = AuditNote(action="installation.pause", target=installation.id, details=details)
    return Decision(reply=None, writes=[write], audit=[note])


def _job_of(cluster: Id, task: OwnTask, since: Moment) -> Sequence[ColumnElement[bool]]:
    """Return the conditions of a job that may have started a task."""
    in_time = or_(jobs.c.state.in_(ACTIVE), jobs.c.finished_at > since)
    of_container = exists().where(
        containers.c.cluster_id == cluster,
        containers.c.vmid == task.vmid,
        containers.c.id.in_([jobs.c.container_id, jobs.c.source_id]),
    )
    refused = exists().where(
        vmid_replacements.c.job_id == jobs.c.id, vmid_replacements.c.refused == task.vmid
    )
    ordered = jobs.c.command["target"]["vmid"].astext.cast(Integer) == task.vmid
    # Before a creation is stored as made, the VMID may be another one than the row's.
    making = and_(jobs.c.kind.in_(MAKING), jobs.c.state.in_(ACTIVE))
    return (jobs.c.cluster_id == cluster, in_time, or_(of_container, ordered, refused, making))
