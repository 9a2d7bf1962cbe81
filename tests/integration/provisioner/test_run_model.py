"""The run record, whatever its owners, a viewer's cancel and a bad bus do in whatever order.

A model in plain Python says who owns the run and what was published; a real bus says what it stored. The
bus's bad days are made at its connection: an answer that is lost, a write that arrives late or never.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import nats
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as HypothesisPhase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from nats.aio.client import Client

from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.job_events import JobPhase
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import CancelJob, RunJob, RunRecord, Target
from slipway.contracts.message import Event, State
from slipway.contracts.values import JobState, Phase
from slipway.provisioner.engine.records import ClaimLost, RecordBusy, Run, Runs
from slipway.provisioner.engine.states import IllegalTransition
from slipway.runtime.bus.client import Bus, WriteRefused, WriteUnknown
from slipway.runtime.bus.stored import read_all
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id
from slipway.runtime.process.settings import ServiceSettings
from slipway.runtime.topology import reconcile
from slipway.standalone.embedded.nats import EmbeddedNats, NatsOptions
from support.nats import SMALL, settings_of

TARGET = Target(container="c1", cluster="k1", cluster_name="home", node="pve1", vmid=100, hostname="web-1")
PLACES = st.integers(min_value=0, max_value=5)
FATES = st.sampled_from(["good", "good", "answer-lost", "late", "away"])
"""What the bus does to the next write: stores it; stores it and says nothing; stores it when it is tried
again; takes none of this writer's attempts, and stores the first of them later, if it still may."""
ENDS = st.sampled_from([None, None, None, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Write:
    """A commit on its way to the bus."""

    state: State
    events: Sequence[Event]
    sequence: int
    commit: str
    ttl: timedelta | None


class BadBus(Bus):
    """A connection whose writes meet a fate."""

    fate = "good"
    on_its_way: Write | None = None

    def __init__(self, settings: ServiceSettings, *, service: str) -> None:
        super().__init__(settings, service=service)
        self._commit = self.commit
        self.commit = self._meet_fate

    async def _meet_fate(
        self,
        state: State,
        events: Sequence[Event],
        *,
        expected_sequence: int,
        commit_id: str,
        ttl: timedelta | None = None,
    ) -> int:
        """Store, or not, or later."""
        write = Write(state, events, expected_sequence, commit_id, ttl)
        if self.fate in {"late", "away"}:
            self.on_its_way = self.on_its_way or write
            if self.fate == "late":
                self.fate = "arrives"
            raise WriteUnknown("The bus did not answer.")
        if self.fate == "arrives":
            self.fate = "good"
            await self.arrive()
        stored = await self._store(write)
        if self.fate == "answer-lost":
            self.fate = "good"
            raise WriteUnknown("The bus did not answer.")
        return stored

    async def arrive(self) -> bool:
        """Let arrive what was on its way; whether the bus took it."""
        write, self.on_its_way = self.on_its_way, None
        if write is None:
            return False
        try:
            await self._store(write)
        except WriteRefused:
            return False
        return True

    async def _store(self, write: Write) -> int:
        return await self._commit(
            write.state,
            write.events,
            expected_sequence=write.sequence,
            commit_id=write.commit,
            ttl=write.ttl,
        )


@dataclass
class Stands:
    """The record and its journal as the model knows them."""

    state: JobState = JobState.QUEUED
    claim: int = 0
    percent: int = 0
    cancel: bool = False
    phase_percents: tuple[int, ...] = ()
    """The percents of the phase events, in their order."""


@dataclass
class Owner:
    """A worker that has, or had, the run."""

    run: Run
    bus: BadBus
    claim: int


class RunModel(RuleBasedStateMachine):
    """One job, whose command comes again and again to two workers."""

    runner: asyncio.Runner
    admin: Client
    buses: tuple[BadBus, BadBus]

    def __init__(self) -> None:
        super().__init__()
        self.job = new_id()
        self.stands = Stands()
        self.owners: list[Owner] = []
        self.next_percent = 0
        self.pending: tuple[BadBus, Stands, Stands] | None = None
        """A write that may still arrive: on what it was based, and what it makes of it."""
        for bus in self.buses:
            bus.fate, bus.on_its_way = "good", None

    @rule(worker=st.sampled_from([0, 1]), fate=st.sampled_from(["good", "good", "answer-lost", "late"]))
    def claim(self, worker: int, fate: str) -> None:
        """Deliver the command to a worker; an ended run is given as it is."""
        bus = self.ready(self.buses[worker], fate)
        command = RunJob(
            job=self.job, kind=JobKind.CREATE, target=TARGET, spec=ContainerSpec(hostname="web-1")
        )
        run = self.do(Runs(bus).claim(command, at=now()))
        if not self.stands.state.is_terminal:
            self.stands.state = JobState.RUNNING
            self.stands.claim += 1
            self.owners.append(Owner(run, bus, self.stands.claim))
        assert (run.record.state, run.record.claim) == (self.stands.state, self.stands.claim)

    @rule(place=PLACES, end=ENDS, fate=FATES)
    def commit(self, place: int, end: JobState | None, fate: str) -> None:
        """Have an owner, of now or before, write that it goes on or ends."""
        owner = self.at(place)
        if owner is None:
            return
        self.next_percent += 1
        event = JobPhase(
            id=self.job, phase=Phase.CREATE, status="started", percent=self.next_percent, at=now()
        )
        changes = {"percent": self.next_percent, "state": end or JobState.RUNNING}
        bus = self.ready(owner.bus, fate)
        writing = Runs(bus).commit(owner.run, [event], **changes)
        if owner.run.record.state.is_terminal:
            with pytest.raises(IllegalTransition):
                self.do(writing)
        elif owner.claim < self.stands.claim:
            with pytest.raises(ClaimLost):
                self.do(writing)
        elif fate == "away":
            self.leaves(owner, writing, end)
        else:
            self.do(writing)
            self.stands = self.after(end)
        bus.fate = "good"

    @rule()
    def arrive(self) -> None:
        """Let the late write arrive: stored if nothing was written since, refused otherwise."""
        if self.pending is None:
            return
        bus, before, after = self.pending
        self.pending = None
        assert self.do(bus.arrive()) is (self.stands is before)
        if self.stands is before:
            self.stands = after

    @rule(fate=st.sampled_from(["good", "answer-lost", "late"]))
    def cancel(self, fate: str) -> None:
        """Ask for the end; what never ran ends at once."""
        bus = self.ready(self.buses[0], fate)
        command = CancelJob(job=self.job, kind=JobKind.CREATE, target=TARGET)
        record = self.do(Runs(bus).request_cancel(command, at=now()))
        if self.stands.state is JobState.QUEUED:
            self.stands = Stands(state=JobState.CANCELLED, claim=1, cancel=True)
        elif not self.stands.state.is_terminal and not self.stands.cancel:
            was = self.stands
            self.stands = Stands(
                was.state, was.claim, was.percent, cancel=True, phase_percents=was.phase_percents
            )
        assert (record.state, record.cancel_requested) == (self.stands.state, self.stands.cancel)
        bus.fate = "good"

    @invariant()
    def bus_is_the_model(self) -> None:
        """The record stands as the model says, and its journal was published once, in order."""
        entry = self.do(Runs(self.buses[1]).load(self.job))
        stands = self.stands
        if entry is None:
            assert stands.state is JobState.QUEUED
            return
        record: RunRecord = entry[0]
        assert (record.state, record.claim, record.percent) == (stands.state, stands.claim, stands.percent)
        assert record.cancel_requested is stands.cancel
        subject = f"slipway.v1.event.job.{self.job}.phase"
        messages = self.do(read_all(self.admin, "EVENTS", subject=subject))
        percents = [JobPhase.model_validate_json(message.payload).percent for message in messages]
        assert tuple(percents) == stands.phase_percents

    def leaves(self, owner: Owner, writing: Awaitable[None], end: JobState | None) -> None:
        """Have a commit of which nothing is known: its delivery is given up, and may come again."""
        with pytest.raises(RecordBusy):
            self.do(writing)
        self.owners.remove(owner)
        self.pending = (owner.bus, self.stands, self.after(end))

    def after(self, end: JobState | None) -> Stands:
        """Return what a stored commit makes of the record."""
        was, percent = self.stands, self.next_percent
        state = end or JobState.RUNNING
        return Stands(
            state, was.claim, percent, cancel=was.cancel, phase_percents=(*was.phase_percents, percent)
        )

    def ready(self, bus: BadBus, fate: str) -> BadBus:
        """Give a connection its next fate; one on which a write is still on its way has no other."""
        if self.pending is not None and self.pending[0] is bus and fate in {"late", "away"}:
            self.arrive()
        bus.fate = fate
        return bus

    def at(self, place: int) -> Owner | None:
        """Return an owner, the newest first."""
        return self.owners[-1 - place % len(self.owners)] if self.owners else None

    def do(self, act: Awaitable[ResultT]) -> ResultT:
        """Do something on the machine's own loop."""

        async def wait() -> ResultT:
            return await act

        return self.runner.run(wait())


def test_run_in_any_order(nats_folder: Path) -> None:
    """No order of claims, writes, cancels and bad days ends otherwise than the model says."""
    server = EmbeddedNats(nats_folder, NatsOptions(max_file_store="512MB"))
    server.start()
    with asyncio.Runner() as runner:

        async def open_buses() -> tuple[Client, tuple[BadBus, BadBus]]:
            admin = await nats.connect(server.url)
            await reconcile.apply(admin, SMALL)
            buses = [BadBus(settings_of(server.url), service="provisioner") for _ in range(2)]
            for bus in buses:
                await bus.start()
            return admin, (buses[0], buses[1])

        class OnThisBus(RunModel):
            pass

        OnThisBus.runner = runner
        OnThisBus.admin, OnThisBus.buses = runner.run(open_buses())
        try:
            run_state_machine_as_test(
                OnThisBus,
                settings=settings(
                    max_examples=20,
                    stateful_step_count=25,
                    deadline=None,
                    derandomize=True,
                    phases=[HypothesisPhase.generate],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            for bus in OnThisBus.buses:
                runner.run(bus.drain())
            runner.run(OnThisBus.admin.close())
            server.server.kill()
