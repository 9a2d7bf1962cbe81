"""Names, VMIDs, lives and turns, whatever comes in whatever order: jobs, their records, moves by others.

A model in plain Python says what each request must do; a real PostgreSQL says what it did.
"""

import asyncio
from collections.abc import Awaitable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as HypothesisPhase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from slipway.contracts.cluster_facts import ClusterFacts, VmidRange
from slipway.contracts.clusters import AddCluster, Cluster, ClusterSecrets, ClusterSpec
from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.containers import DeleteContainer
from slipway.contracts.guests import GuestStatus
from slipway.contracts.job_kinds import ConfigureArgs, JobKind
from slipway.contracts.jobs import RequestJob, RetryJob, RunJob, RunRecord, StepStatus
from slipway.contracts.problems import Conflict
from slipway.contracts.values import JobState, Lifecycle, Power
from slipway.inventory import tables
from slipway.inventory.app import MIGRATIONS
from slipway.inventory.clusters.use_cases import decide_addition
from slipway.inventory.containers.create import decide_creations
from slipway.inventory.containers.lifecycle import HOLDING, REMOVES
from slipway.inventory.containers.observations import ObservationStore
from slipway.inventory.containers.store import NewContainer
from slipway.inventory.containers.use_cases import decide_deletion, decide_forget, decide_return
from slipway.inventory.decision import NOTHING_GONE, Decide, Decision
from slipway.inventory.jobs import records
from slipway.inventory.jobs.enqueuer import JobEnqueuer
from slipway.inventory.jobs.queue import Queue
from slipway.inventory.jobs.retry import decide_retry
from slipway.inventory.jobs.scheduling import Limits
from slipway.inventory.jobs.use_cases import decide_request, decide_vmid
from slipway.inventory.tables import ACTIVE
from slipway.inventory.unit_of_work import UnitOfWork
from slipway.runtime.bus.call import Call, using
from slipway.runtime.database.engine import Database
from slipway.runtime.process.clock import now
from slipway.runtime.process.ids import new_id
from support.postgres import Databases

RANGE = VmidRange(first=100, last=103)
LIMITS = Limits(jobs=2, creations=1)
NODES = st.sampled_from(["pve1", "pve2"])
NAMES = st.sampled_from(["ada", "Ada", "bob", "eve"])
REQUESTED_VMIDS = st.sampled_from([None, None, 100, 101, 104])
PLACES = st.integers(min_value=0, max_value=7)
CALL = Call(actor="me", correlation_id="c")
ResultT = TypeVar("ResultT")


@dataclass
class Held:
    """A container as the model knows it."""

    id: str
    name: str
    vmid: int
    job: str
    node: str = "pve1"
    kind: JobKind = JobKind.CREATE
    lifecycle: Lifecycle = Lifecycle.CREATING
    is_provisional: bool = True
    forgotten_as: Lifecycle | None = None
    job_state: JobState = JobState.QUEUED
    replaced: set[int] = field(default_factory=set)
    """VMIDs that its job was refused."""
    deleting_as: Lifecycle | None = None
    """What it was before its deletion."""
    new_name: str | None = None
    """What the job that works on it will call it."""
    created_by: str = ""
    """Its last creation."""
    outdated: list[str] = field(default_factory=list)
    """Creations of it that are not to be done again: another or a deletion came after them."""

    def __post_init__(self) -> None:
        self.created_by = self.job

    @property
    def row(self) -> tuple[str, int, str, Lifecycle, Lifecycle | None]:
        """What its row must say."""
        return self.name, self.vmid, self.node, self.lifecycle, self.forgotten_as

    @property
    def lives(self) -> bool:
        """Whether it holds its name and its VMID."""
        return self.lifecycle is not Lifecycle.DELETED

    @property
    def is_busy(self) -> bool:
        """Whether a job works on it."""
        return not self.job_state.is_terminal


class Claims(RuleBasedStateMachine):
    """Requests in any order, on one cluster of its own for each run."""

    runner: asyncio.Runner
    database: Database

    def __init__(self) -> None:
        super().__init__()
        queue = Queue(LIMITS)
        self.unit = UnitOfWork(self.database, JobEnqueuer(queue))
        self.observations = ObservationStore(self.database, queue)
        self.cluster = new_id()
        self.all: list[Held] = []
        self.sequence = 0

    @initialize()
    def add_cluster(self) -> None:
        """Add the cluster with a range that four containers use up."""
        spec = ClusterSpec(name=f"c-{self.cluster}", endpoint="https://pve:8006", vmids=RANGE)
        facts = ClusterFacts(version="9", nodes=())
        asked = AddCluster(spec=spec, secrets=ClusterSecrets())

        async def decide(_tx: AsyncConnection) -> Decision[Cluster]:
            return decide_addition(self.cluster, asked, {}, facts)

        self.decide(decide)

    @rule(name=NAMES, requested_vmid=REQUESTED_VMIDS)
    def create(self, name: str, requested_vmid: int | None) -> None:
        """Create one, with a requested VMID or any."""
        new = NewContainer(
            id=new_id(),
            cluster=self.cluster,
            cluster_name="c",
            spec=ContainerSpec(hostname=name, vmid=requested_vmid, node="pve1", ostemplate="t"),
            template_version=None,
            bundle=None,
            secrets={},
        )
        vmid = self.free(requested_vmid)
        with self.refused(vmid is None or self.is_held(name)) as is_refused:
            accepted = self.decide(lambda tx: decide_creations(tx, [new], NOTHING_GONE))
        if not is_refused:
            assert accepted.container.vmid == vmid
            held = Held(new.id, name, accepted.container.vmid, accepted.job.id)
            held.is_provisional = requested_vmid is None
            self.all.append(held)

    @rule(place=PLACES, succeeds=st.booleans(), exists=st.booleans())
    def end(self, place: int, succeeds: bool, exists: bool) -> None:  # noqa: FBT001 - hypothesis names them
        """End the job that works on one; `exists` is whether something is left by then."""
        held = self.at(place)
        if held is None or not held.is_busy:
            return
        state = JobState.SUCCEEDED if succeeds else JobState.FAILED
        deletes = held.kind is JobKind.DELETE
        there = not succeeds if deletes else succeeds or exists
        self.do(self.take(held.job, state, exists=there, removes=deletes and exists))
        held.job_state = state
        if held.kind is JobKind.CONFIGURE:
            held.name = held.new_name if succeeds and held.new_name else held.name
            held.new_name = None
        elif deletes:
            is_whole = held.deleting_as is Lifecycle.READY and not exists
            left = Lifecycle.READY if is_whole else Lifecycle.FAILED
            held.lifecycle = Lifecycle.DELETED if succeeds else left
            held.outdated += [held.created_by] if succeeds else []
        elif succeeds:
            held.lifecycle = Lifecycle.READY
        else:
            held.lifecycle = Lifecycle.FAILED if exists else Lifecycle.DELETED
        if held.kind is JobKind.CREATE and there:
            held.is_provisional = False

    @rule(place=PLACES)
    def delete(self, place: int) -> None:
        """Delete one."""
        held = self.at(place)
        if held is None:
            return
        may = not held.is_busy and held.lifecycle in HOLDING
        with self.refused(not may) as is_refused:
            request = DeleteContainer(container=held.id)
            accepted = self.decide(lambda tx: decide_deletion(tx, request))
        if not is_refused:
            self.begin(held, accepted.job.id, JobKind.DELETE)

    @rule(place=PLACES, name=NAMES)
    def rename(self, place: int, name: str) -> None:
        """Rename one; it claims the new name from now on."""
        held = self.at(place)
        if held is None:
            return
        may = not held.is_busy and held.lifecycle in HOLDING and not self.is_held(name, but=held)
        asked = RequestJob(container=held.id, kind=JobKind.CONFIGURE, args=ConfigureArgs(hostname=name))
        with self.refused(not may) as is_refused:
            accepted = self.decide(lambda tx: decide_request(tx, asked, NOTHING_GONE))
        if not is_refused:
            self.begin(held, accepted.job.id, JobKind.CONFIGURE)
            held.new_name = name

    @rule(place=PLACES)
    def retry(self, place: int) -> None:
        """Do its last job again; what had freed its claims takes them again, or is refused."""
        held = self.at(place)
        if held is None or held.kind is JobKind.CONFIGURE:
            return
        may, vmid = held.job_state is JobState.FAILED, held.vmid
        if held.kind is JobKind.DELETE:
            may = may and held.lifecycle in HOLDING
        elif not held.lives:
            chosen = self.free(None if held.is_provisional else vmid)
            may = may and chosen is not None and not self.is_held(held.name)
            vmid = chosen or vmid
        with self.refused(not may) as is_refused:
            accepted = self.decide(partial(decide_retry, request=RetryJob(job=held.job)))
        if not is_refused:
            held.vmid = vmid
            self.begin(held, accepted.job.id, held.kind)

    @rule(place=PLACES)
    def retry_what_was_outdated(self, place: int) -> None:
        """Do an older creation again: what came after it stands in its way."""
        held = self.at(place)
        if held is None:
            return
        for job in held.outdated:
            with pytest.raises(Conflict):
                self.decide(partial(decide_retry, request=RetryJob(job=job)))

    @rule(place=PLACES)
    def replace(self, place: int) -> None:
        """Have its VMID refused by Proxmox: a chosen one is replaced by one that was not refused before."""
        held = self.at(place)
        if held is None or not held.is_busy or held.kind is not JobKind.CREATE:
            return
        refused = held.vmid
        vmid = self.free(None, but=held.replaced) if held.is_provisional else None
        with self.refused(vmid is None) as is_refused:
            replacement = self.decide(lambda tx: decide_vmid(tx, held.job, refused))
        if not is_refused:
            assert replacement.vmid == vmid
            assert self.decide(lambda tx: decide_vmid(tx, held.job, refused)) == replacement
            held.replaced.add(refused)
            held.vmid = replacement.vmid

    @rule(place=PLACES)
    def forget(self, place: int) -> None:
        """Drop one without a deletion."""
        held = self.at(place)
        if held is None:
            return
        may = not held.is_busy and held.lifecycle in HOLDING
        with self.refused(not may) as is_refused:
            self.decide(lambda tx: decide_forget(tx, held.id))
        if not is_refused:
            held.forgotten_as, held.lifecycle = held.lifecycle, Lifecycle.DELETED

    @rule(place=PLACES)
    def find(self, place: int) -> None:
        """See one on its host; one that was forgotten is back, unless another has its name or VMID."""
        held = self.at(place)
        if held is None:
            return
        was = held.forgotten_as
        taken = was is not None and (self.is_held(held.name) or held.vmid in self.held_vmids())
        with self.refused(taken) as is_refused:
            self.decide(lambda tx: decide_return(tx, held.id, "pve1"))
        if not is_refused and was is not None:
            held.lifecycle, held.forgotten_as, held.node = was, None, "pve1"

    @rule(place=PLACES, node=NODES)
    def move(self, place: int, node: str) -> None:
        """See a VMID on a node: whoever has it is there, whatever works on it, unless it is being made."""
        held = self.at(place)
        if held is None:
            return
        seen = GuestStatus(
            id="g",
            cluster=self.cluster,
            node=node,
            vmid=held.vmid,
            name=held.name,
            power=Power.RUNNING,
            observed_at=now(),
        )
        self.do(self.observations.observe(seen))
        for each in self.all:
            if each.vmid == held.vmid and each.lifecycle in HOLDING:
                each.node = node

    @rule(place=PLACES)
    def take_late_record(self, place: int) -> None:
        """Take a record of a job that was true before: nothing follows from it."""
        held = self.at(place)
        if held is not None:
            self.do(self.take(held.job, JobState.RUNNING, exists=True, removes=True, sequence=0))

    @invariant()
    def rows_are_the_model(self) -> None:
        """Each row stands as the model says, and no claim is held twice."""
        rows = self.do(self.rows())
        assert rows == {each.id: each.row for each in self.all}
        living = [each for each in self.all if each.lives]
        assert len({each.name.lower() for each in living}) == len(living)
        assert len({each.vmid for each in living}) == len(living)

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        """No node does more than it may, and whoever waits finds no room."""
        for node, active in self.do(self.active()).items():
            sent = [kind for kind, is_sent in active if is_sent]
            making = sum(kind.creates_container for kind in sent)
            assert len(sent) <= LIMITS.jobs, node
            assert making <= LIMITS.creations, node
            for kind in (kind for kind, is_sent in active if not is_sent):
                assert len(sent) == LIMITS.jobs or (kind.creates_container and making == LIMITS.creations), (
                    node
                )

    def at(self, place: int) -> Held | None:
        """Return one of the containers, the newest first."""
        return self.all[-1 - place % len(self.all)] if self.all else None

    def begin(self, held: Held, job: str, kind: JobKind) -> None:
        """Begin a job on one; a creation is outdated by the next one."""
        if kind is JobKind.CREATE:
            held.outdated.append(held.created_by)
            held.created_by = job
        held.deleting_as = held.lifecycle if kind is JobKind.DELETE else None
        if kind is not JobKind.CONFIGURE:
            held.lifecycle = Lifecycle.DELETING if kind is JobKind.DELETE else Lifecycle.CREATING
            held.forgotten_as = None
        held.job, held.kind, held.job_state, held.replaced = job, kind, JobState.QUEUED, set()

    def is_held(self, name: str, but: Held | None = None) -> bool:
        """Whether a living container has the name, or a job is giving it."""
        others = [each for each in self.all if each is not but]
        names = {each.name.lower() for each in others if each.lives}
        return name.lower() in names | {(each.new_name or "").lower() for each in others}

    def held_vmids(self) -> set[int]:
        """Return the VMIDs of living containers."""
        return {each.vmid for each in self.all if each.lives}

    def free(self, requested_vmid: int | None, but: Collection[int] = ()) -> int | None:
        """Return the VMID that must be chosen; None if it must be refused."""
        held = self.held_vmids().union(but)
        if requested_vmid is not None:
            return None if requested_vmid in held else requested_vmid
        return next((vmid for vmid in range(RANGE.first, RANGE.last + 1) if vmid not in held), None)

    @contextmanager
    def refused(self, expected: bool) -> Iterator[list[bool]]:  # noqa: FBT001 - reads as a sentence
        """Expect a conflict, or none; the list is not empty if there was one."""
        conflicts: list[bool] = []
        if not expected:
            yield conflicts
            return
        conflicts.append(True)
        with pytest.raises(Conflict):
            yield conflicts

    def do(self, act: Awaitable[ResultT]) -> ResultT:
        """Do something on the machine's own loop."""

        async def wait() -> ResultT:
            return await act

        return self.runner.run(wait())

    def decide(self, decide: Decide[ResultT]) -> ResultT:
        """Commit a decision."""
        return self.do(self.unit.run(CALL, decide))

    async def take(
        self, job: str, state: JobState, *, exists: bool, removes: bool, sequence: int | None = None
    ) -> None:
        """Take a record of a job, the next one; `removes`: it had come to the removal of its container."""
        async with self.database.begin() as connection:
            row = (await connection.execute(select(tables.jobs).where(tables.jobs.c.id == job))).one()
        command, at = RunJob.model_validate(row.command), now()
        record = RunRecord(
            id=job,
            kind=command.kind,
            state=state,
            claim=1,
            commit=new_id(),
            owner="p",
            target=command.target,
            exists_on_host=exists,
            steps=(StepStatus(name=REMOVES, started_at=at),) if removes else (),
            started_at=at,
            finished_at=at,
        )
        self.sequence += 1
        number = self.sequence if sequence is None else sequence
        with using(CALL):
            await records.store(self.unit, record, number)

    async def active(self) -> dict[str, list[tuple[JobKind, bool]]]:
        """Read the active jobs by node: what they do, and whether they were sent."""
        one = tables.jobs.c
        query = select(one.node, one.kind, one.released_at).where(one.cluster_id == self.cluster)
        jobs_by_node: dict[str, list[tuple[JobKind, bool]]] = {}
        async with self.database.begin() as connection:
            for row in await connection.execute(query.where(one.state.in_(ACTIVE))):
                jobs_by_node.setdefault(row.node, []).append((JobKind(row.kind), row.released_at is not None))
        return jobs_by_node

    async def rows(self) -> dict[str, tuple[str, int, str, Lifecycle, Lifecycle | None]]:
        """Read all containers of the cluster."""
        mine = tables.containers.c
        async with self.database.begin() as connection:
            rows = await connection.execute(select(tables.containers).where(mine.cluster_id == self.cluster))
            return {
                row.id: (
                    row.hostname,
                    row.vmid,
                    row.node,
                    Lifecycle(row.lifecycle),
                    Lifecycle(row.forgotten_as) if row.forgotten_as else None,
                )
                for row in rows
            }


def test_claims_in_any_order(_databases: Databases) -> None:  # noqa: PT019 - it makes the databases
    """No request in any order ends otherwise than the model says."""
    with asyncio.Runner() as runner:
        database = Database(runner.run(_databases.make("inventory", MIGRATIONS)))

        class OnThisDatabase(Claims):
            pass

        OnThisDatabase.runner, OnThisDatabase.database = runner, database
        try:
            run_state_machine_as_test(
                OnThisDatabase,
                settings=settings(
                    max_examples=30,
                    stateful_step_count=25,
                    deadline=None,
                    derandomize=True,
                    phases=[HypothesisPhase.generate],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(database.dispose())
            runner.run(_databases.drop_all())
