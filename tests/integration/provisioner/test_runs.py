"""Run records on a real bus: one owner, one job log."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client

from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.job_events import JobPhase
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import CancelJob, RunJob, RunRecord, Target
from slipway.contracts.message import Event
from slipway.contracts.values import JobState, Phase
from slipway.provisioner.engine.records import ClaimLost, Runs
from slipway.provisioner.engine.states import IllegalTransition
from slipway.runtime.bus.stored import read_all
from support.nats import MakeBus

AT = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = Target(container="c1", cluster="k1", cluster_name="home", node="pve1", vmid=100, hostname="web-1")
RUN = RunJob(job="j1", kind=JobKind.CREATE, target=TARGET, spec=ContainerSpec(hostname="web-1"))
CANCEL = CancelJob(job="j1", kind=JobKind.CREATE, target=TARGET)


def started(phase: Phase, percent: int) -> JobPhase:
    """Return the event of a phase that begins."""
    return JobPhase(id="j1", phase=phase, status="started", percent=percent, at=AT)


async def job_events(admin: Client) -> list[str]:
    """Return the subjects of the job's events, in order."""
    messages = await read_all(admin, "EVENTS", subject="slipway.v1.event.job.j1.>")
    return [message.subject for message in messages]


async def test_record_and_events_are_written_together(make_bus: MakeBus, admin: Client) -> None:
    """What the record says is what was published."""
    runs = Runs(await make_bus("provisioner"))
    run = await runs.claim(RUN, at=AT)

    await runs.commit(run, [started(Phase.CREATE, 0)], phase=Phase.CREATE)

    assert await runs.load("j1") == (run.record, run.sequence)
    assert run.record.phase is Phase.CREATE
    assert await job_events(admin) == ["slipway.v1.event.job.j1.phase"]


@pytest.mark.parametrize(
    ("command", "exists"),
    [
        (RUN, False),
        (RUN.model_copy(update={"first_step": "start.task"}), True),
        (RUN.model_copy(update={"kind": JobKind.STOP}), True),
    ],
)
async def test_what_a_run_finds_on_the_host(make_bus: MakeBus, command: RunJob, *, exists: bool) -> None:
    """A retry that goes on later finds a container there: if it fails at once, something is left."""
    run = await Runs(await make_bus("provisioner")).claim(command, at=AT)

    assert run.record.exists_on_host is exists


async def test_cancelled_before_it_ran(make_bus: MakeBus) -> None:
    """What was there before the job is there after it."""
    runs = Runs(await make_bus("provisioner"))

    record = await runs.request_cancel(CANCEL.model_copy(update={"exists_on_host": True}), at=AT)

    assert (record.state, record.exists_on_host) == (JobState.CANCELLED, True)


class LateBus(Runs):
    """A bus that stores the first commit, but only after its answer was given up and looked for."""

    is_late = True

    async def _try(self, record: RunRecord, events: Sequence[Event], sequence: int) -> int | None:
        stored = await super()._try(record, events, sequence)
        was_late, self.is_late = self.is_late, False
        return None if was_late else stored


async def test_commit_that_is_stored_late_is_published_once(make_bus: MakeBus, admin: Client) -> None:
    """The second attempt is known as a repetition: the events stand there once, the owner goes on."""
    bus = await make_bus("provisioner")
    run = await Runs(bus).claim(RUN, at=AT)

    await LateBus(bus).commit(run, [started(Phase.CREATE, 0)], phase=Phase.CREATE)
    await Runs(bus).commit(run, [], percent=20)

    assert await Runs(bus).load("j1") == (run.record, run.sequence)
    assert (run.record.phase, run.record.percent) == (Phase.CREATE, 20)
    assert await job_events(admin) == ["slipway.v1.event.job.j1.phase"]


async def test_older_owner_is_shut_out(make_bus: MakeBus, admin: Client) -> None:
    """After a takeover the old owner's write is refused, and none of its events is published."""
    runs = Runs(await make_bus("provisioner"))
    old = await runs.claim(RUN, at=AT)
    new = await runs.claim(RUN, at=AT)

    with pytest.raises(ClaimLost):
        await runs.commit(old, [started(Phase.CREATE, 0)], phase=Phase.CREATE)

    assert (new.record.claim, new.record.claims_without_progress) == (2, 1)
    assert await job_events(admin) == []


async def test_cancel_flag_does_not_shut_the_owner_out(make_bus: MakeBus) -> None:
    """The owner goes on, and knows of the wish at its next write."""
    runs = Runs(await make_bus("provisioner"))
    run = await runs.claim(RUN, at=AT)
    await runs.request_cancel(CANCEL, at=AT)

    await runs.commit(run, [], percent=20)

    assert run.record.cancel_requested
    assert run.record.percent == 20


async def test_job_that_never_ran_is_cancelled_at_once(make_bus: MakeBus, admin: Client) -> None:
    """There is no worker to wait for, and a later run finds it ended."""
    runs = Runs(await make_bus("provisioner"))
    await runs.request_cancel(CANCEL, at=AT)

    run = await runs.claim(RUN, at=AT)

    assert run.record.state is JobState.CANCELLED
    assert await job_events(admin) == ["slipway.v1.event.job.j1.done"]


async def test_terminal_record_is_never_claimed(make_bus: MakeBus) -> None:
    """A command that comes again after the end changes nothing."""
    runs = Runs(await make_bus("provisioner"))
    run = await runs.claim(RUN, at=AT)
    await runs.commit(run, [], state=JobState.SUCCEEDED, finished_at=AT)

    again = await runs.claim(RUN, at=AT)

    assert (again.record, again.sequence) == (run.record, run.sequence)


async def test_of_many_claims_at_once_each_has_its_own_number(make_bus: MakeBus) -> None:
    """Two workers never hold the same claim."""
    first, second = Runs(await make_bus("provisioner")), Runs(await make_bus("provisioner"))

    taken = await asyncio.gather(*(runs.claim(RUN, at=AT) for runs in (first, second, first, second)))

    assert sorted(run.record.claim for run in taken) == [1, 2, 3, 4]


async def test_an_ended_run_takes_no_write(make_bus: MakeBus, admin: Client) -> None:
    """Also not from the owner that ended it; nothing is published."""
    runs = Runs(await make_bus("provisioner"))
    run = await runs.claim(RUN, at=AT)
    await runs.commit(run, [], state=JobState.SUCCEEDED)

    with pytest.raises(IllegalTransition):
        await runs.commit(run, [started(Phase.CREATE, 0)], state=JobState.FAILED)

    assert await job_events(admin) == []
    entry = await runs.load("j1")
    assert entry is not None
    assert entry[0].state is JobState.SUCCEEDED


async def test_an_abandoned_run_ends_and_shuts_its_owner_out(make_bus: MakeBus, admin: Client) -> None:
    """Its record says why; an owner that still lives writes nothing more, so nothing runs on."""
    runs = Runs(await make_bus("provisioner"))
    run = await runs.claim(RUN, at=AT)

    record = await runs.request_cancel(CANCEL.model_copy(update={"abandon": "It is old."}), at=AT)

    assert (record.state, record.error and record.error.code) == (JobState.CANCELLED, "job.dropped")
    with pytest.raises(ClaimLost):
        await runs.commit(run, [], percent=5)
    assert await job_events(admin) == ["slipway.v1.event.job.j1.done"]
