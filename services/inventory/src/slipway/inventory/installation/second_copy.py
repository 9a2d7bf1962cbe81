"""Notices that somebody else acts with this installation's token, and pauses this one.

Theory of operation. Monitor reads the cluster's task list once a minute, and shows in its looks the tasks on
containers that were started with Slipway's own token. Each that is seen for the first time must belong to a
job of ours on that container, which runs or has ended since shortly before the list was read last; while
this one is paused after a restore, none is. Without one another live copy has started it: one that was
restored from here, or the one that this was restored from.

Guarantees. A task of a job of ours never pauses it: nothing is compared by a clock of a node. Non-guarantees.
What the other copy does before it is noticed is done, a minute of it; a task is missed if it works on the
same container as a job of ours, or began while this process did not run. Both copies may pause.
"""

import asyncio
from collections.abc import Sequence
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
from slipway.inventory.installation.store import (
    baseline,
    installation_of,
    installation_row,
    pause,
    read_installation,
    say_more,
)
from slipway.inventory.tables import ACTIVE, MAKING, containers, jobs, vmid_replacements
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import current
from slipway.runtime.process.clock import now
from slipway.runtime.process.logs import get_logger

log = get_logger()

MARGIN = timedelta(minutes=2)
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
            known = {each.upid for each in before.tasks}
            fresh = [each for each in look.tasks if each.upid not in known]
            await self._compare(look.cluster, fresh, read_before=before.tasks_at)
        self._judged[look.cluster] = look

    async def _compare(self, cluster: Id, tasks: Sequence[OwnTask], *, read_before: Moment) -> None:
        for task in tasks:
            async with self._unit.database.autocommit() as tx:
                is_ours = await _is_ours(tx, cluster, task, read_before)
            if not is_ours:
                log.error("task of another live copy", cluster=cluster, upid=task.upid)
                await self._unit.run(current(), partial(_decide_pause, task=task))
                await self._gate.load()
                return


async def _is_ours(tx: AsyncConnection, cluster: Id, task: OwnTask, read_before: Moment) -> bool:
    """Return whether a job here may have started a task that was not there when tasks were read before."""
    installation = await read_installation(tx)
    if installation.cause is PauseCause.RESTORED and installation.since < read_before:
        # Nothing has begun here since then.
        return False
    return bool(await tx.scalar(select(exists().where(*_job_of(cluster, task, read_before - MARGIN)))))


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
