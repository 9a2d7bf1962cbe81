"""A cancel ends what a job has begun, wherever it is."""

import asyncio
import time

import pytest

from slipway.contracts.job_kinds import JobKind
from slipway.contracts.jobs import RunJob
from slipway.contracts.values import JobState, OnFailure
from slipway.lab import faults
from slipway.lab.faults.scope import Fault
from slipway.provisioner.engine.records import ClaimLost
from slipway.proxmox.errors import ContainerMissing
from support.lab_client import NODE
from support.provisioner_side import VMID, Ground, facts_of, status_of
from support.waiting import processes_of, until

BUSY_SECONDS = 6.0
"""Two are promised; a busy machine takes longer."""


async def running(ground: Ground, kind: str) -> list[str]:
    """Return the node's tasks of a kind that run."""
    tasks = await ground.cluster.api.tasks(NODE, vmid=VMID, typefilter=kind)
    return [str(each.upid) for each in tasks if each.is_running]


async def until_runs(ground: Ground, kind: str) -> None:
    """Wait until such a task runs."""
    await until(lambda: running(ground, kind), within_seconds=20)


async def until_script_sleeps(
    ground: Ground, script: str, seconds: str
) -> "tuple[RunJob, asyncio.Task[None]]":
    """Begin a creation with a script, and wait until it sleeps for so long; return its order and its run."""
    await ground.worker.listen()
    bundle = await ground.bundle(a=f"{script}\nsleep {seconds}\n")
    command = await ground.command(JobKind.CREATE, bundle=bundle)
    going = ground.begin(command)
    await until(lambda: bool(processes_of("sleep", seconds)), within_seconds=30)
    return command, going


async def test_a_script_that_ignores_the_request_to_end(ground: Ground) -> None:
    """It is gone at once, its processes too."""
    command, going = await until_script_sleeps(ground, "trap '' TERM\necho hi", "98761")

    began = time.monotonic()
    await ground.cancel(command)
    await until(lambda: not processes_of("sleep", "98761"), within_seconds=20)
    took = time.monotonic() - began
    await going

    assert took < BUSY_SECONDS
    assert (await ground.record()).state is JobState.CANCELLED


async def test_a_connection_that_dies_under_the_end_of_a_script(ground: Ground) -> None:
    """The end is asked for again over another one: nothing of the script is left."""
    command, going = await until_script_sleeps(ground, "echo hi", "98762")
    dropped = faults.SshDropped(match='finish "$2"')
    ground.lab.faults.order(dropped)

    await ground.cancel(command)
    await asyncio.wait_for(going, 20)

    assert list(ground.lab.faults.all(faults.SshDropped)) == []  # it was met
    assert processes_of("sleep", "98762") == []
    assert (await ground.record()).state is JobState.CANCELLED


async def test_a_flag_of_which_nothing_was_heard(ground: Ground) -> None:
    """The word that it was written got lost: the record is read while a step acts."""
    await ground.make()
    ground.lab.faults.order(faults.TaskHangs(task="vzdump"))
    command = await ground.command(JobKind.BACKUP)
    going = ground.begin(command)
    await until(ground.lines, within_seconds=20)  # after these it says nothing more

    await ground.cancel(command)
    await asyncio.wait_for(going, 20)

    assert (await ground.record()).state is JobState.CANCELLED
    assert await running(ground, "vzdump") == []


async def test_a_flag_that_a_log_line_met(ground: Ground) -> None:
    """A fenced message is refused then: that is heard at once."""
    await ground.make(runs=True)
    bundle = await ground.bundle(a="while :; do echo hi; sleep 0.1; done")
    command = await ground.command(
        JobKind.CREATE, bundle=bundle, first_step="sync", retry_of="j0", target=ground.target()
    )
    going = ground.begin(command)
    await ground.until_record("j1", lambda record: status_of(record, "sync.script.0") == "started")

    began = time.monotonic()
    await ground.cancel(command)
    await asyncio.wait_for(going, 20)

    assert time.monotonic() - began < 5
    assert (await ground.record()).state is JobState.CANCELLED


@pytest.mark.parametrize("policy", [OnFailure.KEEP, OnFailure.DESTROY])
async def test_a_creation_that_hangs(ground: Ground, policy: OnFailure) -> None:
    """Its task is stopped, and nothing of it is left."""
    await ground.worker.listen()
    ground.lab.faults.order(faults.TaskHangs(task="vzcreate"))
    command = await ground.command(JobKind.CREATE, on_failure=policy)
    going = ground.begin(command)
    await ground.until_record("j1", lambda record: bool(facts_of(record, "create.task").get("upid")))

    await ground.cancel(command)
    await asyncio.wait_for(going, 20)

    assert (await ground.record()).state is JobState.CANCELLED
    assert await running(ground, "vzcreate") == []
    with pytest.raises(ContainerMissing):
        await ground.cluster.api.config(NODE, VMID)


@pytest.mark.parametrize(
    "fault",
    [
        faults.SlowAnswer(method="POST", path="/nodes/*/lxc", seconds=1.5),
        faults.LostAnswer(method="POST", path="/nodes/*/lxc"),
    ],
)
async def test_a_creation_whose_answer_is_on_its_way(ground: Ground, fault: Fault) -> None:
    """Its task is found and stopped all the same, never taken for the remains of a killed one."""
    await ground.worker.listen()
    ground.lab.faults.order(fault)
    ground.lab.faults.order(faults.TaskHangs(task="vzcreate"))
    command = await ground.command(JobKind.CREATE)
    going = ground.begin(command)
    await until_runs(ground, "vzcreate")

    await ground.cancel(command)
    await asyncio.wait_for(going, 20)

    record = await ground.record()
    assert (record.state, record.exists_on_host) == (JobState.CANCELLED, False)
    assert await running(ground, "vzcreate") == []
    assert status_of(record, "on-failure.clear") is None


async def test_a_cancel_that_meets_a_new_owner(ground: Ground) -> None:
    """What the dead one had begun is ended before the job is."""
    await ground.make()
    ground.lab.faults.order(faults.TaskHangs(task="vzdump"))
    command = await ground.command(JobKind.BACKUP)
    going = ground.begin(command)
    await ground.until_record("j1", lambda record: bool(facts_of(record, "backup.task").get("upid")))
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)

    await ground.cancel(command)
    record = await ground.run(command)

    assert record.state is JobState.CANCELLED
    assert await running(ground, "vzdump") == []


async def test_two_slots_of_one_worker(ground: Ground) -> None:
    """The older one hears that it is superseded, the newer one that it is cancelled."""
    await ground.worker.listen()
    await ground.make()
    ground.lab.faults.order(faults.TaskHangs(task="vzdump"))
    command = await ground.command(JobKind.BACKUP)
    older = ground.begin(command)
    await ground.until_record("j1", lambda record: bool(facts_of(record, "backup.task").get("upid")))
    newer = ground.begin(command)

    with pytest.raises(ClaimLost):
        await asyncio.wait_for(older, 4)
    await ground.cancel(command)
    await asyncio.wait_for(newer, 4)

    assert (await ground.record()).state is JobState.CANCELLED
