"""The run engine alone: steps that touch no host, on a real bus."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from nats.aio.msg import Msg

from slipway.contracts.container_specs import ContainerSpec
from slipway.contracts.job_events import JobStep
from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import CancelJob, RunJob, RunRecord, Target
from slipway.contracts.problems import Failed, Problem, SlipwayError, Unavailable
from slipway.contracts.values import JobState
from slipway.provisioner.engine.journal import RunJournal
from slipway.provisioner.engine.records import Runs
from slipway.provisioner.engine.step import DONE, EndAct, Result, Step
from slipway.provisioner.engine.worker import MOST_CLAIMS, Poisoned, Worker
from slipway.provisioner.engine.workflow import Do, Retry, Workflow
from slipway.runtime.bus.call import Call
from slipway.runtime.bus.client import Bus, Delivery
from slipway.runtime.process.clock import now
from slipway.runtime.topology.declared import LIVE_PREFIX
from support.nats import MakeBus

TARGET = Target(container="c1", cluster="k1", cluster_name="home", node="pve1", vmid=100, hostname="web-1")
COMMAND = RunJob(job="j1", kind=JobKind.START, target=TARGET, spec=ContainerSpec(hostname="web-1"))
DELIVERY = Delivery(
    call=Call(actor="user:test", correlation_id="test"),
    stream_sequence=1,
    attempts=1,
    subject=RunJob.subject,
    message_id="test",
)


@dataclass
class Errand:
    """What these steps work with: a list of what was done."""

    command: RunJob
    step: "Step[Errand] | None" = None


@dataclass
class Diary:
    """Everything that steps and policy did, over all owners of the run."""

    entries: list[str] = field(default_factory=list)
    released: int = 0
    """How often a run was left by its owner."""
    steps: tuple[Step[Errand], ...] = ()
    knows_first: bool = True
    """Whether the first step is known from the command alone."""

    def note(
        self, name: str, then: Callable[[], Awaitable[None]] | None = None
    ) -> Callable[[Errand], Awaitable[Result]]:
        """Return an act that is noted when it begins, and then does something."""

        async def act(_errand: Errand) -> Result:
            self.entries.append(name)
            if then is not None:
                await then()
            return DONE

        return act

    async def cancel(self, errand: Errand, end_act: EndAct) -> None:
        """Note the cancel of a step."""
        await end_act()
        self.entries.append(f"cancel {errand.step.name if errand.step else ''}")

    async def recover(
        self, _work: Errand, _error: SlipwayError, *, is_repeated: bool, interruptible: asyncio.Event
    ) -> bool:
        """Recover from nothing."""
        _ = is_repeated, interruptible
        return False

    def describe(self, problem: Problem, _work: Errand | None, _last_lines: str) -> Problem:
        """Add nothing to the problem."""
        return problem

    async def release(self, _errand: Errand) -> None:
        """Count it."""
        self.released += 1

    async def settle(self, _work: Errand, do: Do[Errand], _retry: Retry) -> bool:
        """Undo what was done."""
        return not await do(Step(name="undo", act=self.note("undo")))


@pytest.fixture
def diary() -> Diary:
    """What was done."""
    return Diary()


class Known:
    """A run of which nothing has to be asked."""

    async def job_state(self) -> JobState:
        """Wait for its turn."""
        return JobState.QUEUED

    async def prepare(self, _journal: RunJournal) -> Errand:
        """Begin a list of what is done."""
        return Errand(COMMAND)

    async def aclose(self) -> None:
        """Do nothing."""


@pytest.fixture
async def bus(make_bus: MakeBus) -> Bus:
    """The provisioner's bus."""
    return await make_bus("provisioner")


@pytest.fixture
def worker(bus: Bus, diary: Diary) -> Worker[Errand]:
    """A worker whose workflow knows no host."""

    async def outcome(_errand: Errand) -> Mapping[str, object]:
        return {"warnings": ("seen",)}

    workflow = Workflow(
        ask=lambda _command: Known(),
        first=lambda _command: diary.steps[0] if diary.knows_first else None,
        plan=lambda _errand: diary.steps,
        failure_policy=diary,
        read_outcome=outcome,
        leaves_container=lambda _errand: True,
        release=diary.release,
    )
    return Worker(bus, Runs(bus), workflow, retry_budget=timedelta(seconds=5))


async def record_of(bus: Bus) -> RunRecord:
    """Return the record of the job."""
    stored = await Runs(bus).load(COMMAND.job)
    assert stored is not None
    return stored[0]


async def for_ever() -> None:
    """Never end."""
    await asyncio.Event().wait()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - the worker's own doing
            await asyncio.sleep(0.01)


async def test_each_step_is_done_once(worker: Worker[Errand], diary: Diary, bus: Bus) -> None:
    """In their order; a command that comes again does nothing."""
    diary.steps = (Step(name="a", act=diary.note("a")), Step(name="b", act=diary.note("b")))

    await worker.run(COMMAND, DELIVERY)
    await worker.run(COMMAND, DELIVERY)

    record = await record_of(bus)
    assert diary.entries == ["a", "b"]
    assert (record.state, record.percent, record.warnings) == (JobState.SUCCEEDED, 100, ("seen",))


async def test_a_steps_end_leaves_with_the_next_steps_begin(
    worker: Worker[Errand], diary: Diary, bus: Bus
) -> None:
    """The record is written once between two steps; the events come one by one, in their order."""
    diary.steps = tuple(Step(name=name, act=diary.note(name)) for name in ("a", "b", "c"))

    written, shown = await _observed_run(worker, bus)

    assert shown == [f"{name} {status}" for name in "abc" for status in ("started", "finished")]
    ended = ["a finished", "b finished"]
    assert written[:3] == [["a started"], ["a finished", "b started"], [*ended, "c started"]]
    assert written[3:] == [[*ended, "c finished"]]


async def test_a_first_step_that_is_not_known_yet_begins_after_the_claim(
    worker: Worker[Errand], diary: Diary, bus: Bus
) -> None:
    """As of a retry, whose first step has facts of the retried job."""
    diary.knows_first = False
    diary.steps = (Step(name="a", act=diary.note("a")),)

    written, shown = await _observed_run(worker, bus)

    assert shown == ["a started", "a finished"]
    assert written == [[], ["a started"], ["a finished"]]


async def test_steps_that_look_first_leave_with_the_next_write(
    worker: Worker[Errand], diary: Diary, bus: Bus
) -> None:
    """Several that are soon over cost no write; people see all of them, in their order."""
    looks = {"b", "c"}
    diary.steps = tuple(
        Step(name=name, act=diary.note(name), looks_first=name in looks) for name in ("a", "b", "c", "d")
    )

    written, shown = await _observed_run(worker, bus)

    assert shown == [f"{name} {status}" for name in "abcd" for status in ("started", "finished")]
    ended = ["a finished", "b finished", "c finished"]
    assert written == [["a started"], [*ended, "d started"], [*ended, "d finished"]]


async def _observed_run(worker: Worker[Errand], bus: Bus) -> tuple[list[list[str]], list[str]]:
    """Run the job; its steps in each record that was written, and in the events."""
    written: list[RunRecord] = []
    shown: list[str] = []

    async def note(message: Msg) -> None:
        if message.subject.endswith(f"state.job.{COMMAND.job}"):
            written.append(RunRecord.model_validate_json(message.data))
        elif message.subject.endswith(".step"):
            step = JobStep.model_validate_json(message.data)
            shown.append(f"{step.step} {step.status}")

    await bus.connection.subscribe(f"{LIVE_PREFIX}>", cb=note)
    await worker.run(COMMAND, DELIVERY)
    await until(lambda: bool(written) and written[-1].state is JobState.SUCCEEDED)
    return [[f"{each.name} {each.status}" for each in record.steps] for record in written], shown


async def test_a_later_owner_continues(worker: Worker[Errand], diary: Diary, bus: Bus) -> None:
    """Finished steps are not done again, the one that was begun is."""
    hangs = Step(name="b", act=diary.note("b", for_ever))
    diary.steps = (Step(name="a", act=diary.note("a")), hangs)
    first = asyncio.create_task(worker.run(COMMAND, DELIVERY))
    await until(lambda: "b" in diary.entries)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    diary.steps = (diary.steps[0], Step(name="b", act=diary.note("b again")))
    await worker.run(COMMAND, DELIVERY)

    record = await record_of(bus)
    assert diary.entries == ["a", "b", "b again"]
    assert (record.state, record.claim, record.steps[1].attempts) == (JobState.SUCCEEDED, 2, 2)
    assert diary.released == 2


async def test_a_cancel_uses_the_hook_of_the_step(worker: Worker[Errand], diary: Diary, bus: Bus) -> None:
    """The act ends, then what it began outside, then the policy is done."""
    diary.steps = (Step(name="a", act=diary.note("a", for_ever), cancel=diary.cancel),)
    await worker.listen()
    running = asyncio.create_task(worker.run(COMMAND, DELIVERY))
    await until(lambda: "a" in diary.entries)

    await worker.cancel(CancelJob(job="j1", kind=COMMAND.kind, target=TARGET), DELIVERY)
    await asyncio.wait_for(running, 10)

    assert diary.entries == ["a", "cancel a", "undo"]
    assert (await record_of(bus)).state is JobState.CANCELLED


async def test_a_step_past_its_point_of_no_return_is_waited_for(
    worker: Worker[Errand], diary: Diary, bus: Bus
) -> None:
    """The cancel takes effect before the next step."""
    may_end = asyncio.Event()

    async def until_allowed() -> None:
        await may_end.wait()

    first = Step(name="a", act=diary.note("a", until_allowed), cancel=diary.cancel, is_cancellable=False)
    diary.steps = (first, Step(name="b", act=diary.note("b")))
    await worker.listen()
    running = asyncio.create_task(worker.run(COMMAND, DELIVERY))
    await until(lambda: "a" in diary.entries)
    await worker.cancel(CancelJob(job="j1", kind=COMMAND.kind, target=TARGET), DELIVERY)
    await asyncio.sleep(0.3)
    may_end.set()
    await asyncio.wait_for(running, 10)

    assert diary.entries == ["a", "undo"]
    assert [step.status for step in (await record_of(bus)).steps] == ["finished", "finished"]


@pytest.mark.parametrize(("code", "is_ended"), [("ended", False), ("cut-off", True)])
async def test_work_that_goes_on_is_ended_after_a_failure(
    worker: Worker[Errand], diary: Diary, code: str, *, is_ended: bool
) -> None:
    """Unless the failure says that it has ended."""

    async def fail() -> None:
        raise Failed("It failed.", code=code)

    act = diary.note("a", fail)
    diary.steps = (Step(name="a", act=act, cancel=diary.cancel, ended_by=frozenset({"ended"})),)

    await worker.run(COMMAND, DELIVERY)

    assert diary.entries == ["a", *(["cancel a"] if is_ended else []), "undo"]


async def test_an_outage_is_waited_out(worker: Worker[Errand], diary: Diary, bus: Bus) -> None:
    """The step is retried by its owner, not by the bus."""

    async def fail_once() -> None:
        if diary.entries.count("a") == 1:
            raise Unavailable("It is away.")

    diary.steps = (Step(name="a", act=diary.note("a", fail_once)),)

    await worker.run(COMMAND, DELIVERY)

    record = await record_of(bus)
    assert (record.state, record.claim, diary.entries) == (JobState.SUCCEEDED, 1, ["a", "a"])


async def test_a_run_that_waits_is_given_back(
    make_bus: MakeBus, bus: Bus, worker: Worker[Errand], diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever stops the provisioner during a pause has no traceback to read; the run has no owner then."""

    async def fail() -> None:
        raise Unavailable("It is away.")

    diary.steps = (Step(name="a", act=diary.note("a", fail)),)
    stopping = await make_bus(
        "provisioner",
        lambda own: own.consume(RunJob, worker.run, durable="provisioner-run"),
        graceful_timeout=0.2,
    )
    await bus.publish(COMMAND, message_id="run:j1")
    await until(lambda: "a" in diary.entries)

    await stopping.drain()

    assert [each.getMessage() for each in caplog.records if each.levelno > logging.INFO] == []
    record = await record_of(bus)
    assert (record.state, record.claims_without_progress, diary.released) == (JobState.RUNNING, 0, 1)


async def test_a_run_that_kills_its_workers_ends(worker: Worker[Errand], diary: Diary, bus: Bus) -> None:
    """It is claimed a few times, then given up; what it may have left is ended."""
    diary.steps = (Step(name="a", act=diary.note("a"), cancel=diary.cancel),)
    for _ in range(MOST_CLAIMS):
        await Runs(bus).claim(COMMAND, at=now())

    with pytest.raises(Poisoned):
        await worker.run(COMMAND, DELIVERY)

    assert (await record_of(bus)).state is JobState.FAILED
    assert "a" not in diary.entries
